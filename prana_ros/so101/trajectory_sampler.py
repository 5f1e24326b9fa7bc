"""The plan that the arm follows, as a function of time.

A new trajectory replaces the running one by the rule of :mod:`~prana_ros.so101.splice`, and the two are joined by a
straight line.

Between points positions are interpolated linearly, or, between points that carry velocities, by the cubic that has
these velocities at both ends. At its end the plan holds.
"""

import numpy as np

from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.splice import splice
from prana_ros.so101.trajectory import NANOSECONDS, Trajectory, validate


class TrajectorySampler:
    """Positions (6,) in rad over time, on the clock of the caller; it starts by holding ``position`` (6,)."""

    def __init__(self, position: np.ndarray) -> None:
        self.hold_at(position)

    def hold_at(self, position: np.ndarray) -> None:
        """Forget the plan and hold ``position`` (6,) rad from now on, for all times."""
        self._times_ns: np.ndarray = np.zeros(1, dtype=np.int64)
        self._positions: np.ndarray = np.array(position, dtype=np.float64).reshape(1, len(JOINT_NAMES))
        self._velocities: np.ndarray = np.full_like(self._positions, np.nan)

    @property
    def end_ns(self) -> int:
        """Time of the plan's last point in ns; from then on it holds."""
        return int(self._times_ns[-1])

    def sample(self, now_ns: int) -> np.ndarray:
        """Planned position (6,) in rad at ``now_ns``."""
        return self._state(now_ns)[0]

    def accept(self, trajectory: Trajectory, now_ns: int) -> None:
        """Let ``trajectory`` take over at ``now_ns``, or at its start if that lies in the future.

        Joints that it does not name hold where the plan has them at that time. Raises
        :class:`~prana_ros.so101.trajectory.TrajectoryError`, and leaves the plan as it is, if it cannot be played.
        """
        validate(trajectory, now_ns)
        times = trajectory.point_times_ns(now_ns)
        joint = splice(self._times_ns, times, now_ns, trajectory.start_ns)
        position, velocity, curved = self._state(joint.takeover_ns)
        positions, velocities = _all_joints(trajectory, position)
        # What lies before the segment of now is not needed any more.
        first = max(int(np.searchsorted(self._times_ns, now_ns, side="right")) - 1, 0)
        kept, future = joint.kept & (np.arange(len(joint.kept)) >= first), joint.future
        # The takeover stands twice, as the end of the old plan and as the beginning of the new, and so does the last
        # point, the second time without velocity: from it on the plan is flat.
        old_velocity = np.where(curved, velocity, np.nan)
        flat = np.full(len(JOINT_NAMES), np.nan)
        self._times_ns = np.concatenate([self._times_ns[kept], [joint.takeover_ns] * 2, times[future], times[-1:]])
        self._positions = np.vstack([self._positions[kept], position, position, positions[future], positions[-1]])
        self._velocities = np.vstack([self._velocities[kept], old_velocity, velocity, velocities[future], flat])

    def _state(self, now_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Planned position and velocity (6,), and which joints (6,) are on a curve; at a point, what comes after it."""
        after = int(np.searchsorted(self._times_ns, now_ns, side="right"))
        if after in (0, len(self._times_ns)):
            position = self._positions[min(after, len(self._times_ns) - 1)].copy()
            return position, np.zeros(len(JOINT_NAMES)), np.zeros(len(JOINT_NAMES), dtype=bool)
        begin, end = self._times_ns[after - 1 : after + 1]
        span = int(end - begin) / NANOSECONDS
        u = (now_ns - int(begin)) / NANOSECONDS / span
        p0, p1 = self._positions[after - 1 : after + 1]
        step = p1 - p0
        # The cubic Hermite form, written as the straight line plus what the end velocities add to it.
        a, b = self._velocities[after - 1 : after + 1] * span - step
        bend = u * (1.0 - u) * ((1.0 - u) * a - u * b)
        slope = a * (1.0 - u) * (1.0 - 3.0 * u) - b * u * (2.0 - 3.0 * u)
        curved = ~np.isnan(bend)
        position = p0 + u * step + np.where(curved, bend, 0.0)
        return position, (step + np.where(curved, slope, 0.0)) / span, curved


def _all_joints(trajectory: Trajectory, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (N, 6) of ``trajectory``; unnamed joints stay at ``position``, without velocity."""
    columns = [JOINT_NAMES.index(name) for name in trajectory.joint_names]
    positions = np.tile(position, (len(trajectory.times_s), 1))
    positions[:, columns] = trajectory.positions
    velocities = np.full_like(positions, np.nan)
    if trajectory.velocities is not None:
        velocities[:, columns] = trajectory.velocities
    return positions, velocities
