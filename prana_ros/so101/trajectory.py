"""A trajectory as a commander sends it, and what makes one acceptable.

The rules are those of ros2_controllers' JointTrajectoryController: the start stamp is absolute (zero means "now"),
times count from the start and increase strictly, joints are matched by name, and at least one point lies in the future.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prana_ros.so101.model import JOINT_NAMES

MAX_START_DELAY = 60.0
"""Seconds that a start may lie ahead: a stamp beyond it comes from another clock, and would hold the arm silently."""

MAX_DURATION = 2.0**31
"""Seconds from start to end: what ``builtin_interfaces/Duration`` can say."""

NANOSECONDS = 1_000_000_000


class TrajectoryError(ValueError):
    """A trajectory that must not be played; the message is one sentence for the commander."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Joint positions over time.

    ``positions`` has shape (N, J) in rad, column j belonging to ``joint_names[j]``; ``times_s`` has shape (N,), in
    seconds after ``start_ns``; ``velocities``, where given, has the shape of ``positions``, in rad/s.
    """

    owner: str
    """Who sent it; empty for a commander that did not acquire the arm."""
    start_ns: int
    """Time of ``times_s == 0`` on the driver's clock, in ns; 0 means when the trajectory is accepted."""
    joint_names: Sequence[str]
    times_s: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray | None = None

    def point_times_ns(self, now_ns: int) -> np.ndarray:
        """Times (N,) of the points in int64 ns on the driver's clock, for a trajectory accepted at ``now_ns``."""
        offsets = np.rint(np.asarray(self.times_s, dtype=np.float64) * NANOSECONDS).astype(np.int64)
        return offsets + (self.start_ns or now_ns)


def validate(trajectory: Trajectory, now_ns: int, joint_names: Sequence[str] = JOINT_NAMES) -> None:
    """Raise :class:`TrajectoryError` with one sentence unless ``trajectory`` can be played at ``now_ns``.

    Not every joint has to be named: the others hold where they are.
    """
    _validate_joints(trajectory.joint_names, joint_names)
    _validate_times(trajectory.times_s)
    shape = (len(trajectory.times_s), len(trajectory.joint_names))
    _validate_values("position", "rad", trajectory.positions, shape, trajectory.joint_names)
    if trajectory.velocities is not None:
        _validate_values("velocity", "rad/s", trajectory.velocities, shape, trajectory.joint_names)
    _validate_against_clock(trajectory, now_ns)


def _validate_joints(named: Sequence[str], known: Sequence[str]) -> None:
    if not named:
        raise TrajectoryError(f"The trajectory names no joints; allowed are {', '.join(known)}.")
    for index, name in enumerate(named):
        if name not in known:
            raise TrajectoryError(f"The trajectory names the joint '{name}'; this arm has {', '.join(known)}.")
        if name in named[:index]:
            raise TrajectoryError(f"The trajectory names the joint '{name}' twice; each may appear once.")


def _validate_times(times: np.ndarray) -> None:
    times = np.asarray(times, dtype=np.float64)
    if times.ndim != 1 or not len(times):
        raise TrajectoryError("The trajectory has no points; at least one is needed.")
    for index, time in enumerate(times):
        if not 0.0 <= time <= MAX_DURATION:
            raise TrajectoryError(
                f"Point {index} of the trajectory is {time:g} s after its start; allowed is 0 to {MAX_DURATION:g} s."
            )
    backward = np.flatnonzero(np.diff(times) <= 0.0)
    if len(backward):
        index = int(backward[0])
        raise TrajectoryError(
            f"Point {index + 1} of the trajectory is at {times[index + 1]:g} s and the one before it at "
            f"{times[index]:g} s; times must increase."
        )


def _validate_values(
    what: str,
    unit: str,
    values: np.ndarray,
    shape: tuple[int, int],
    names: Sequence[str],
) -> None:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != shape:
        raise TrajectoryError(
            f"The {what} table of the trajectory has the shape {values.shape}; "
            f"{shape[0]} points of {shape[1]} joints need {shape}."
        )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        point, joint = (int(i) for i in bad[0])
        raise TrajectoryError(
            f"Point {point} of the trajectory gives the joint '{names[joint]}' the {what} {values[point, joint]}; "
            f"only finite numbers ({unit}) are allowed."
        )


def _validate_against_clock(trajectory: Trajectory, now_ns: int) -> None:
    ended = (now_ns - int(trajectory.point_times_ns(now_ns)[-1])) / NANOSECONDS
    if ended > 0.0:
        raise TrajectoryError(
            f"The last point of the trajectory lies {ended:.3f} s in the past; at least one must lie in the future."
        )
    delay = (trajectory.start_ns - now_ns) / NANOSECONDS
    if delay > MAX_START_DELAY:
        raise TrajectoryError(
            f"The trajectory starts in {delay:.0f} s; allowed are {MAX_START_DELAY:.0f} s "
            "(is the stamp from another clock than the driver's?)."
        )
