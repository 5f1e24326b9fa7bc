"""Where the arm is sent: the plan, kept within the limits, with the gripper's goal eased where it presses too hard."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from prana_ros.so101.arm_watch import OVERLOAD_BITS
from prana_ros.so101.calibration import MotorCalibration, position_range
from prana_ros.so101.driver_state import DriverSettings
from prana_ros.so101.grip_guard import GripGuard
from prana_ros.so101.kinematics import position_limits
from prana_ros.so101.limits import Limiter, Limits
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.trajectory import NANOSECONDS, Trajectory
from prana_ros.so101.trajectory_sampler import TrajectorySampler

GRIPPER = JOINT_NAMES.index("gripper")
REST_SLACK = 0.1
"""rad by which the rest pose may lie outside the limits: a joint at its stop rests as well there."""
SHORTEST_RETURN = 0.5
"""Seconds that the way to rest takes at least."""


class Feedback(Protocol):
    """What the servos last reported, shape (6,) each; an ``ArmReading`` has it."""

    @property
    def position(self) -> np.ndarray:
        """rad."""

    @property
    def load(self) -> np.ndarray:
        """Signed fraction of the stall torque."""

    @property
    def error_bits(self) -> np.ndarray:
        """As ``ArmReading`` has them."""


class Motion:
    """Goals for the servos at ``rate`` Hz. Positions have shape (6,), in rad.

    Raises:
        ValueError: one sentence if the rest pose lies outside the limits.
    """

    def __init__(self, limits: Limits, rate: float, rest_pose: ArrayLike, rest_velocity: float) -> None:
        self.limits = limits
        self.rest_pose = _reachable(np.asarray(rest_pose, dtype=np.float64), limits)
        self.returning = False
        """Whether the plan is the way to rest."""
        self._period = 1.0 / rate
        self._rest_velocity = rest_velocity
        self._limiter = Limiter(limits)
        self._sampler = TrajectorySampler(np.zeros(len(JOINT_NAMES)))
        self._grip = GripGuard()
        self._last_ns: int | None = None

    @property
    def position(self) -> np.ndarray:
        """Where the plan, within the limits, has got to."""
        return self._limiter.position

    @property
    def limited(self) -> int:
        """Cycles in which a limit changed a goal."""
        return self._limiter.limited

    @property
    def end_ns(self) -> int:
        """When the plan ends, on the clock of the cycles."""
        return self._sampler.end_ns

    def start_from(self, position: np.ndarray) -> None:
        """Reset to ``position`` without moving: the arm is already there."""
        self._limiter.reset(position)
        self._sampler.hold_at(position)
        self._grip = GripGuard()
        self.returning = False

    def halt(self) -> None:
        """Brake as fast as the limits allow, and hold."""
        self._sampler.hold_at(self._limiter.brake(self._period))
        self.returning = False

    def restrict(self, limits: Limits, rest_velocity: float) -> None:
        """Move within other limits from the next cycle on; the way to rest takes its speed when it begins."""
        self.limits = self._limiter.limits = limits
        self._rest_velocity = rest_velocity

    def aim(self, position: np.ndarray) -> None:
        """Go to ``position`` and hold: for a commander that gives a position in every cycle."""
        self._sampler.hold_at(position)
        self.returning = False

    def planned(self, now_ns: int) -> np.ndarray:
        """Where the plan is at ``now_ns``, limits or not."""
        return self._sampler.sample(now_ns)

    def accept(self, trajectory: Trajectory, now_ns: int) -> None:
        """Play ``trajectory``. Raises :class:`~prana_ros.so101.trajectory.TrajectoryError` and goes on as before."""
        self._sampler.accept(trajectory, now_ns)
        self.returning = False

    def return_to_rest(self, now_ns: int) -> float:
        """Set out slowly for the rest pose; returns the seconds that it takes."""
        distance = float(np.abs(self.rest_pose - self.position).max())
        # The cubic from standstill to standstill has its peak velocity at one and a half times the mean.
        duration = max(1.5 * distance / self._rest_velocity, SHORTEST_RETURN)
        rest = self.rest_pose[None]
        self.accept(Trajectory("", 0, JOINT_NAMES, np.array([duration]), rest, np.zeros_like(rest)), now_ns)
        self.returning = True
        return duration

    def goals(self, now_ns: int, reading: Feedback | None) -> np.ndarray:
        """Goal positions for ``now_ns``; called once per cycle, with what the servos last reported."""
        period = self._period
        if self._last_ns is not None:
            # After a pause, or a step of the clock, the arm goes on at its ordinary speed.
            elapsed = (now_ns - self._last_ns) / NANOSECONDS
            period = float(np.clip(elapsed, 0.2 * self._period, 3.0 * self._period))
        self._last_ns = now_ns
        goal = self._limiter.step(self._sampler.sample(now_ns), period)
        if reading is not None:
            overload = bool(reading.error_bits[GRIPPER] & OVERLOAD_BITS)
            position, load = reading.position[GRIPPER], reading.load[GRIPPER]
            goal[GRIPPER] = self._grip.step(goal[GRIPPER], position, load, overload, period)
        return goal

    def farthest_from_rest(self, position: np.ndarray) -> tuple[str, float, float]:
        """The joint that is farthest from rest (the gripper does not count), its ``position`` and the rest's, rad."""
        i = int(np.argmax(np.abs(position - self.rest_pose)[:GRIPPER]))
        return JOINT_NAMES[i], float(position[i]), float(self.rest_pose[i])


def _reachable(rest_pose: np.ndarray, limits: Limits) -> np.ndarray:
    """The rest pose within the limits: elsewhere the arm would stop on the way, and be let go above the table."""
    for name, rest, low, high in zip(JOINT_NAMES, rest_pose, limits.lower, limits.upper, strict=True):
        if not low - REST_SLACK <= rest <= high + REST_SLACK:
            raise ValueError(
                f"The rest pose has {name} at {rest:.2f} rad, but its calibrated range goes from {low:.2f} to "
                f"{high:.2f} rad; calibrate again and sweep the whole range, or set rest_pose to where this arm lies."
            )
    return np.clip(rest_pose, limits.lower, limits.upper)


def motion_limits(calibration: Mapping[str, MotorCalibration], settings: DriverSettings) -> Limits:
    """What the calibration, the arm's figures and the settings allow together."""
    lower, upper = position_limits()
    calibrated_lower, calibrated_upper = position_range(calibration)
    joints = np.ones(len(JOINT_NAMES))
    return Limits(
        lower=np.maximum(lower, calibrated_lower),
        upper=np.minimum(upper, calibrated_upper),
        velocity=settings.max_velocity * joints,
        acceleration=settings.max_acceleration * joints,
    )
