"""JointTrajectoryController's rule for a trajectory that arrives while another one is played.

Of the new trajectory the points in the past are skipped; of the running one everything up to the new start is kept:

    running  ──●────●────●┐· · ●          ● point that is kept; · dropped
                          └╲
    new       ·   ·   ·  now ●───●───●    the first future point of the new one, and all after it
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Splice:
    """What is kept of both.

    Attributes:
        takeover_ns: when the new trajectory takes over: now, or at its start if that lies in the future.
        kept: (N,) bool, of the points of the running trajectory: those before the takeover.
        future: (M,) bool, of the points of the new one.
    """

    takeover_ns: int
    kept: np.ndarray
    future: np.ndarray


def splice(running_ns: np.ndarray, new_ns: np.ndarray, now_ns: int, new_start_ns: int) -> Splice:
    """Join two trajectories by the times of their points.

    Args:
        running_ns: (N,) int64 ns, not decreasing.
        new_ns: (M,) int64 ns, increasing, none before ``new_start_ns``.
        now_ns: when the new one arrives.
        new_start_ns: its time 0, which may lie before its first point.
    """
    takeover_ns = max(now_ns, new_start_ns)
    return Splice(takeover_ns, running_ns < takeover_ns, new_ns >= takeover_ns)
