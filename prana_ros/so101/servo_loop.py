"""The thread that drives the arm at servo rate."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable

from prana_ros.so101.loop_timing import LoopTiming
from prana_ros.so101.trajectory import NANOSECONDS

POLL = 0.001
"""Seconds between looks at a simulated clock."""
REAL_TIME_PRIORITY = 10
"""Of 99: above the other programs, below the kernel's own threads."""

logger = logging.getLogger(__name__)


class ServoLoop:
    """Calls ``cycle(now_ns)`` at ``rate`` Hz in its own thread, ``now_ns`` being ``clock_ns()``.

    Cycles are paced by the monotonic clock, or by ``clock_ns`` itself where ``simulated`` says that it is a simulated
    one, which must not stand still but may be set back. A cycle that comes too late is not made up for.
    """

    def __init__(
        self, cycle: Callable[[int], object], rate: float, clock_ns: Callable[[], int], simulated: bool = False
    ) -> None:
        self.timing = LoopTiming(rate)
        self.failure: Exception | None = None
        """What ended the thread, if not :meth:`stop`."""
        self._cycle = cycle
        self._clock_ns = clock_ns
        self._pace_ns = clock_ns if simulated else time.monotonic_ns
        self._simulated = simulated
        self._period_ns = round(NANOSECONDS / rate)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="servo loop", daemon=True)

    def start(self) -> None:
        """Begin; once only."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether cycles are to be expected."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End after the running cycle; without effect if it never began."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        _prefer_this_thread()
        try:
            due_ns = self._pace_ns()
            while not self._stopping.is_set():
                self._wait_until(due_ns)
                start_ns = self._pace_ns()
                self.timing.record(start_ns / NANOSECONDS)
                self._cycle(self._clock_ns())
                due_ns += self._period_ns
                if abs(start_ns - due_ns) > 2 * self._period_ns:
                    due_ns = start_ns + self._period_ns
        except Exception as error:
            self.failure = error
            logger.exception("the servo loop has ended")

    def _wait_until(self, due_ns: int) -> None:
        # Further ahead than a cycle: a simulated clock was set back, and the arm must not wait until it catches up.
        while not self._stopping.is_set() and 0 < (remaining := due_ns - self._pace_ns()) <= 2 * self._period_ns:
            time.sleep(POLL if self._simulated else remaining / NANOSECONDS)


def _prefer_this_thread() -> None:
    """Let the loop run before ordinary threads where the system allows it (root, or a limit for ``rtprio``)."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REAL_TIME_PRIORITY))
