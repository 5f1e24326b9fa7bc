"""The simulated world: arms, screwdriver, box and cameras, stepped in 2 ms steps.

One thread may step while others read joints or take snapshots: every access to the physics takes the world's lock,
and an image is drawn from a snapshot, so that drawing never holds up the physics.
"""

import threading
from dataclasses import dataclass
from typing import Self

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from prana_ros.cameras.mounting import Mounting
from prana_ros.simulation.arm import SimulatedArm
from prana_ros.simulation.mjcf import SECOND_ARM, TIMESTEP, build_mjcf
from prana_ros.simulation.scene import Scene
from prana_ros.simulation.scene_applier import SceneApplier
from prana_ros.so101.model import REST_POSE
from prana_ros.so101.urdf import ROOT_LINK

_MUJOCO_CAMERA_TO_LINK = Rotation.from_matrix([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
CAMERAS = ("table", "wrist")
CAMERA_SIZE = (320, 240)
"""Width and height of their images in the datasets that are recorded here."""


@dataclass(frozen=True)
class Snapshot:
    """What an image is drawn from: all positions (MuJoCo's qpos) at a simulated time (s)."""

    time: float
    positions: np.ndarray


class World:
    """A table with one or two SO-101 arms. ``arms[0]`` does the task; its properties are offered here too.

    ``camera_size`` is (width, height) of every image. Images must be drawn by one thread only, the first that
    calls ``render``; everything else may be called from any thread.
    """

    def __init__(self, scene: Scene, camera_size: tuple[int, int] = CAMERA_SIZE, arms: int = 1) -> None:
        self.lock = threading.RLock()
        self.camera_size = camera_size
        self._model = mujoco.MjModel.from_xml_string(build_mjcf(arms))
        self._data = mujoco.MjData(self._model)
        self._applier = SceneApplier(self._model)
        self._drawn = mujoco.MjData(self._model)
        self._renderer: mujoco.Renderer | None = None
        prefixes = ("", SECOND_ARM)[:arms]
        self.arms = [SimulatedArm(self._model, self._data, self.lock, prefix) for prefix in prefixes]
        self.reset(scene)

    def reset(self, scene: Scene, keep_arms: bool = False) -> None:
        """Lay out ``scene``, everything at rest and the arms parked with the torque on.

        ``keep_arms`` leaves arms, servo goals and the clock alone: what a running graph needs, whose driver holds
        the arm.
        """
        with self.lock:
            self.scene = scene
            if not keep_arms:
                mujoco.mj_resetData(self._model, self._data)
                for arm in self.arms:
                    arm.park(np.array(REST_POSE))
            self._applier.apply(scene)
            tool = self._data.joint("tool")
            half = scene.tool_yaw / 2
            tool.qpos[:] = (*scene.tool_position, scene.tool_radius, np.cos(half), 0, 0, np.sin(half))
            tool.qvel[:] = 0
            mujoco.mj_forward(self._model, self._data)

    def step(self, n: int = 1) -> None:
        """Advance by ``n`` steps of 2 ms. MuJoCo releases the interpreter lock meanwhile."""
        with self.lock:
            mujoco.mj_step(self._model, self._data, nstep=n)

    @property
    def time(self) -> float:
        """Simulated time (s) since the last full reset."""
        return self._data.time

    @property
    def timestep(self) -> float:
        """Length of a step (s)."""
        return TIMESTEP

    @property
    def position(self) -> np.ndarray:
        """Joint angles (6,) of the first arm, rad."""
        return self.arms[0].position

    @property
    def velocity(self) -> np.ndarray:
        """Joint velocities (6,) of the first arm, rad/s."""
        return self.arms[0].velocity

    @property
    def torque(self) -> np.ndarray:
        """Servo torques (6,) of the first arm, N·m."""
        return self.arms[0].torque

    @property
    def goal(self) -> np.ndarray:
        """Goal angles (6,) of the first arm, rad."""
        return self.arms[0].goal

    @goal.setter
    def goal(self, value: np.ndarray) -> None:
        self.arms[0].goal = value

    def object_poses(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Position (3,) in m and quaternion (4,) wxyz of ``tool`` and ``box`` in the base frame."""
        with self.lock:
            bodies = {name: self._data.body(name) for name in ("tool", "box")}
            return {name: (body.xpos.copy(), body.xquat.copy()) for name, body in bodies.items()}

    def tool_speed(self) -> tuple[float, float]:
        """Linear (m/s) and angular (rad/s) speed of the screwdriver."""
        with self.lock:
            velocity = self._data.joint("tool").qvel
            return float(np.linalg.norm(velocity[:3])), float(np.linalg.norm(velocity[3:]))

    def tool_touches_arm(self) -> bool:
        """Whether the screwdriver touches an arm."""
        with self.lock:
            bodies = self._model.geom_bodyid[self._data.contact.geom]
            tool, others = self._model.body("tool").id, {0, self._model.body("box").id}
            return any(tool in pair and not others & set(pair) for pair in bodies.tolist())

    def snapshot(self) -> Snapshot:
        """The positions of now, to draw from later."""
        with self.lock:
            return Snapshot(self._data.time, self._data.qpos.copy())

    def render(self, camera: str, snapshot: Snapshot | None = None) -> np.ndarray:
        """Image of ``table`` or ``wrist``: (height, width, 3) uint8 RGB, of the snapshot or of now."""
        names = [self._model.camera(index).name for index in range(self._model.ncam)]
        if camera not in names:
            raise ValueError(f"unknown camera {camera!r}: the twin has {', '.join(names)}")
        snapshot = snapshot or self.snapshot()
        if self._renderer is None:
            width, height = self.camera_size
            self._renderer = mujoco.Renderer(self._model, height, width)
        with self.lock:  # a reset changes colors and lights of the model that is read here
            self._drawn.qpos[:] = snapshot.positions
            mujoco.mj_kinematics(self._model, self._drawn)
            mujoco.mj_camlight(self._model, self._drawn)
            self._renderer.update_scene(self._drawn, camera)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = False
        return self._renderer.render()

    def camera_mounting(self, camera: str) -> Mounting:
        """Where a camera is: on a link of the first arm, or on the table, which is at the arm's base."""
        description = self._model.camera(camera)
        body = self._model.body(int(description.bodyid[0])).name
        # MuJoCo's camera looks along -z with y up, a camera's link along x with z up.
        rotation = Rotation.from_quat(description.quat, scalar_first=True) * _MUJOCO_CAMERA_TO_LINK
        x, y, z = description.pos.tolist()
        return Mounting(ROOT_LINK if body == "world" else body, (x, y, z), rotation)

    def field_of_view(self, camera: str) -> float:
        """Vertical field of view of a camera in degrees."""
        return float(self._model.camera(camera).fovy[0])

    def close(self) -> None:
        """Free the renderer; must be called by the thread that drew."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
