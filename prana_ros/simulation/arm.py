"""One simulated SO-101: six servos in MuJoCo, seen as an ``ArmPlant``."""

import threading

import mujoco
import numpy as np

from prana_ros.so101.model import ACTUATOR, GRIPPER_TORQUE_FRACTION, JOINT_NAMES


class SimulatedArm:
    """The servo law is MuJoCo's position actuator: torque = clip(kp (goal - q), ± limit), no integral term.

    So the arm sags under gravity by torque / kp as the real one does. Properties return copies of shape (6,).
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, lock: threading.RLock, prefix: str) -> None:
        self._model, self._data, self._lock = model, data, lock
        self._qpos = np.array([model.joint(prefix + name).qposadr[0] for name in JOINT_NAMES])
        self._qvel = np.array([model.joint(prefix + name).dofadr[0] for name in JOINT_NAMES])
        self._actuators = np.array([model.actuator(prefix + name).id for name in JOINT_NAMES])
        self._enabled = np.ones(6, bool)
        self._limit = np.ones(6)

    def park(self, position: np.ndarray) -> None:
        """Put the arm at ``position`` (6,) rad at rest, goal there, torque on, limits as LeRobot configures them."""
        with self._lock:
            self._data.qpos[self._qpos] = position
            self._data.qvel[self._qvel] = 0
            self._data.ctrl[self._actuators] = position
            self._enabled[:] = True
            self._limit[:] = (1, 1, 1, 1, 1, GRIPPER_TORQUE_FRACTION)
            self._apply_limits()

    @property
    def position(self) -> np.ndarray:
        """Joint angles, rad."""
        with self._lock:
            return self._data.qpos[self._qpos]

    @property
    def velocity(self) -> np.ndarray:
        """Joint velocities, rad/s."""
        with self._lock:
            return self._data.qvel[self._qvel]

    @property
    def torque(self) -> np.ndarray:
        """What the servos exert at the joints, N·m."""
        with self._lock:
            return self._data.actuator_force[self._actuators]

    @property
    def goal(self) -> np.ndarray:
        """Goal angles, rad; ``ValueError`` unless they are six finite numbers."""
        with self._lock:
            return self._data.ctrl[self._actuators]

    @goal.setter
    def goal(self, value: np.ndarray) -> None:
        value = np.asarray(value, float)
        if value.shape != (6,) or not np.isfinite(value).all():
            raise ValueError(f"a goal is 6 finite angles in rad, not {value!r}")
        with self._lock:
            self._data.ctrl[self._actuators] = value

    @property
    def torque_enabled(self) -> np.ndarray:
        """bool: which servos pull."""
        return self._enabled.copy()

    @torque_enabled.setter
    def torque_enabled(self, value: np.ndarray) -> None:
        with self._lock:
            self._enabled[:] = value
            self._apply_limits()

    @property
    def torque_limit(self) -> np.ndarray:
        """Fraction 0..1 of the stall torque."""
        return self._limit.copy()

    @torque_limit.setter
    def torque_limit(self, value: np.ndarray) -> None:
        with self._lock:
            self._limit[:] = np.clip(value, 0.0, 1.0)
            self._apply_limits()

    def _apply_limits(self) -> None:
        limit = ACTUATOR.torque_limit * self._limit * self._enabled
        self._model.actuator_forcerange[self._actuators] = np.stack([-limit, limit], axis=1)
