"""How regular a loop is: its rate, and how far its periods are from the nominal one."""

from collections import deque

import numpy as np

WINDOW = 10.0
"""Seconds that the figures cover."""


class LoopTiming:
    """Takes the start time of each cycle of a loop of ``rate`` Hz."""

    def __init__(self, rate: float) -> None:
        self._period = 1.0 / rate
        self._starts: deque[float] = deque(maxlen=max(2, round(WINDOW * rate) + 1))

    def record(self, start: float) -> None:
        """A cycle began at ``start`` seconds."""
        self._starts.append(start)

    def rate(self) -> float:
        """Cycles per second over the window; 0 before the second cycle."""
        if len(self._starts) < 2:
            return 0.0
        return (len(self._starts) - 1) / (self._starts[-1] - self._starts[0])

    def period_error_p99(self) -> float:
        """99th percentile of abs(period − nominal) over the window, in seconds; 0 before the second cycle."""
        if len(self._starts) < 2:
            return 0.0
        return float(np.percentile(np.abs(np.diff(self._starts) - self._period), 99))
