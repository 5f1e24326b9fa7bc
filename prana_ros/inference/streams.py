"""One input of stamped samples: what came, what was lost, and which sample belongs to a time.

The rule is the same for the running graph and for a recording: the newest sample at or before a time, with half a
period of grace.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prana_ros.inference.plan import NANOSECONDS

_GAPS = 100

_ENOUGH_GAPS = 5

_LOST_RATIO = 1.75


@dataclass(frozen=True)
class InputReading:
    """One input of an observation: stamp of capture (ns), age (s), frames received and lost since the activation."""

    name: str
    stamp_ns: int
    age: float
    received: int
    lost: int


@dataclass(frozen=True)
class InputSummary:
    """What one input has sent since the buffer was made."""

    received: int
    stamps: int
    """How many of the messages had a newer stamp than the one before."""
    span: float
    """From the first stamp to the newest (s)."""
    fault: str
    """Why the last message could not be used; empty if it could."""
    shape: tuple[int, ...]
    """Of the newest sample: (H, W, C) of an image; empty while there is none."""

    @property
    def rate(self) -> float:
        """Samples a second by their stamps; 0 while unknown."""
        return (self.stamps - 1) / self.span if self.span > 0.0 else 0.0


@dataclass
class InputStream:
    """The recent samples of one input and what its stamps say about losses."""

    name: str
    keep_ns: int
    samples: deque[tuple[int, Any]] = field(default_factory=deque)
    received: int = 0
    lost: int = 0
    stamps: int = 0
    """Messages whose stamp was newer than the one before."""
    first_ns: int = 0
    newest_ns: int = 0
    repeated: int = 0
    """Messages since the newest sample whose stamp was not newer."""
    fault: str = ""
    """Why the last message could not be used."""
    _gaps: deque[int] = field(default_factory=lambda: deque(maxlen=_GAPS))

    def add(self, stamp_ns: int, value: Any) -> None:
        """Store a sample. One that is not newer than the last is counted and dropped."""
        self.received += 1
        self.fault = ""
        if self.samples and stamp_ns <= self.samples[-1][0]:
            self.repeated += 1
            return
        if self.samples:
            self._count_lost(stamp_ns - self.samples[-1][0])
        self.repeated = 0
        self.first_ns = self.first_ns if self.stamps else stamp_ns
        self.newest_ns = stamp_ns
        self.stamps += 1
        self.samples.append((stamp_ns, value))
        # The newest sample at or before the horizon stays: it may be the one to pair with.
        while len(self.samples) > 1 and self.samples[1][0] <= stamp_ns - self.keep_ns:
            self.samples.popleft()

    def clear(self) -> None:
        """Forget the samples, not the counts."""
        self.samples.clear()
        self.repeated = 0

    @property
    def period_ns(self) -> int:
        """The median gap between stamps; 0 while unknown."""
        return int(np.median(self._gaps)) if self._gaps else 0

    def newest_until(self, time_ns: int) -> tuple[int, Any] | None:
        """The newest sample at or before a time, with half a period of grace."""
        limit = time_ns + self.period_ns // 2
        return next((sample for sample in reversed(self.samples) if sample[0] <= limit), None)

    def summary(self) -> InputSummary:
        """What has come so far."""
        shape = np.shape(self.samples[-1][1]) if self.samples else ()
        span = (self.newest_ns - self.first_ns) / NANOSECONDS
        return InputSummary(self.received, self.stamps, span, self.fault, shape)

    def _count_lost(self, gap: int) -> None:
        self._gaps.append(gap)
        if len(self._gaps) == _ENOUGH_GAPS:
            self.lost += sum(self._missing(earlier) for earlier in self._gaps)
        elif len(self._gaps) > _ENOUGH_GAPS:
            self.lost += self._missing(gap)

    def _missing(self, gap: int) -> int:
        """Frames missing in a gap. One below 1.75 periods is jitter: stamps may be off by an eighth of a period."""
        ratio = gap / self.period_ns
        return round(ratio) - 1 if ratio > _LOST_RATIO else 0
