"""A plan: joint positions as a function of time, and how one plan replaces another.

old   o────o────o────o────o────o            A new chunk starts at its observation t_obs, before it arrives.
new        n────n────n────n────n────n       Its points before `now` are skipped; the old plan goes on to its
                      │    ▲                first point from now on, the takeover; the seam is the difference
          t_obs      now   takeover         between both plans there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prana_ros.so101.splice import splice

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Plan:
    """Joint positions (N, J) in rad at increasing times (N,) in integer ns; straight lines between, held outside."""

    times_ns: NDArray[np.int64]
    positions: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.times_ns.ndim != 1 or self.positions.ndim != 2 or len(self.times_ns) != len(self.positions):
            raise ValueError(
                f"A plan needs a position for each time, got {self.positions.shape} for {self.times_ns.shape}."
            )
        if len(self.times_ns) == 0 or np.any(np.diff(self.times_ns) <= 0):
            raise ValueError("A plan needs at least one point, at increasing times.")
        if not np.isfinite(self.positions).all():
            raise ValueError("A plan's positions must be finite.")

    @property
    def start_ns(self) -> int:
        """Time of the first point (ns)."""
        return int(self.times_ns[0])

    @property
    def end_ns(self) -> int:
        """Time of the last point (ns)."""
        return int(self.times_ns[-1])

    def at(self, time_ns: ArrayLike) -> NDArray[np.float64]:
        """Positions (..., J) at the times (...); the first and the last position are held before and after."""
        elapsed = self._seconds(time_ns)
        knots = self._seconds(self.times_ns)
        columns = [np.interp(elapsed, knots, column) for column in self.positions.T]
        return np.stack(columns, axis=-1)

    def velocity_after(self, time_ns: int) -> NDArray[np.float64]:
        """Velocity (J,) in rad/s of the line that begins or goes on at a time; zero outside the plan."""
        after = int(np.searchsorted(self.times_ns, time_ns, side="right"))
        if after == 0 or after == len(self.times_ns):
            return np.zeros(self.positions.shape[1])
        duration = (self.times_ns[after] - self.times_ns[after - 1]) / NANOSECONDS
        return (self.positions[after] - self.positions[after - 1]) / duration

    def first_from(self, time_ns: int) -> int | None:
        """The time of the first point at or after a time; ``None`` if all are past."""
        first = int(np.searchsorted(self.times_ns, time_ns))
        return int(self.times_ns[first]) if first < len(self.times_ns) else None

    def _seconds(self, time_ns: ArrayLike) -> NDArray[np.float64]:
        """Time since the plan's start, exactly: ns since 1970 exceed a float's 53 bits."""
        return (np.asarray(time_ns, dtype=np.int64) - self.start_ns) / NANOSECONDS


@dataclass(frozen=True)
class Seam:
    """Where a new plan takes over, and new minus old there: position (J,) in rad and velocity (J,) in rad/s."""

    time_ns: int
    position_step: NDArray[np.float64]
    velocity_step: NDArray[np.float64]


def plan_of_chunk(t_obs_ns: int, positions: NDArray[np.float64], step_ns: int) -> Plan:
    """The plan of a chunk (H, J): its first action at the time of the observation, the others a step apart."""
    return Plan(t_obs_ns + step_ns * np.arange(len(positions), dtype=np.int64), np.asarray(positions, dtype=np.float64))


def seam_between(running: Plan, new: Plan, now_ns: int) -> Seam | None:
    """How ``new``, arriving now, joins the running plan; ``None`` if all of it is past."""
    takeover = new.first_from(now_ns)
    if takeover is None:
        return None
    return Seam(
        takeover,
        new.at(takeover) - running.at(takeover),
        new.velocity_after(takeover) - running.velocity_after(takeover),
    )


def replaced(running: Plan | None, new: Plan, now_ns: int) -> Plan:
    """The plan that the arm follows after ``new`` arrives now: JointTrajectoryController's replacement rule.

    The running plan is kept until now (and back to where ``new`` begins: later chunks look no further back), then come
    the points of ``new`` from now on. One that begins in the future, because it was observed by a clock that is a
    little ahead, leaves the running plan in force until then. Where nothing is running ``new`` is kept whole: how the
    arm got to its first future point is not known, and the points before it are the chunk's own way there.

    Raises:
        ValueError: if all of ``new`` is past.
    """
    if not (new.times_ns >= now_ns).any():
        raise ValueError(f"A plan from {new.start_ns} to {new.end_ns} ns cannot take over at {now_ns} ns.")
    if running is None:
        return new
    joint = splice(running.times_ns, new.times_ns, now_ns, new.start_ns)
    until_ns = joint.takeover_ns - int(joint.takeover_ns in new.times_ns)  # two points cannot have one time
    begin_ns = min(now_ns, new.start_ns, until_ns)
    between = joint.kept & (running.times_ns > begin_ns) & (running.times_ns < until_ns)
    kept = np.unique(np.concatenate([[begin_ns], running.times_ns[between], [until_ns]]))
    return Plan(
        np.concatenate([kept, new.times_ns[joint.future]]),
        np.concatenate([running.at(kept), new.positions[joint.future]]),
    )
