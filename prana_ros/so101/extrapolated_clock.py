"""A simulated clock that cannot stop the driver."""

import threading
import time
from collections.abc import Callable

STALL = 0.2
"""Seconds of standstill after which the clock is taken further at the rate that it had."""
RATE_INTERVAL = 1.0
"""Seconds over which that rate is measured."""


class ExtrapolatedClock:
    """``source_ns``, carried on where it stands still; calling it returns nanoseconds.

    A simulated clock comes by message: it stands still while the simulator is gone, and also while the thread that
    receives it brings the arm to rest. The arm must go on to rest all the same.
    """

    def __init__(self, source_ns: Callable[[], int], steady: Callable[[], float] = time.monotonic) -> None:
        self._source_ns = source_ns
        self._steady = steady
        self._mutex = threading.Lock()
        self._rate = 1.0
        self._last_ns, self._last = source_ns(), steady()
        self._first_ns, self._first = self._last_ns, self._last

    def __call__(self) -> int:
        """Nanoseconds of the simulated clock, or of what it would be by now."""
        with self._mutex:
            now_ns, now = self._source_ns(), self._steady()
            still = now - self._last
            if now_ns != self._last_ns:
                self._take(now_ns, now, still)
            elif still > STALL:
                return now_ns + round(self._rate * still * 1e9)
            return now_ns

    def _take(self, now_ns: int, now: float, still: float) -> None:
        jumped = now_ns < self._last_ns or still > STALL
        self._last_ns, self._last = now_ns, now
        if jumped:
            self._first_ns, self._first = now_ns, now
        elif now - self._first > RATE_INTERVAL:
            self._rate = (now_ns - self._first_ns) * 1e-9 / (now - self._first)
            self._first_ns, self._first = now_ns, now
