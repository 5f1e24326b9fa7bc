"""When the next inference starts, and how much of the running plan its chunk is given.

Both follow from the measured latency: a chunk started now arrives at now + latency, and must arrive before the
running plan reaches the part that is saved for the handover.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from prana_ros.inference.plan import NANOSECONDS, Plan

WINDOW = 50
"""Latencies remembered."""
ENOUGH = 5
"""Measured latencies after which the warm-up's are forgotten."""


class SchedulingMode(Enum):
    """``continuous``: replan as soon as the last inference is done; ``rolling``: when a chunk is nearly used up."""

    CONTINUOUS = "continuous"
    ROLLING = "rolling"


OVERLAP_STEPS = {SchedulingMode.CONTINUOUS: 3, SchedulingMode.ROLLING: 10}


class Latency:
    """The 95th percentile of the last 50 latencies, in s."""

    def __init__(self) -> None:
        self._measured: deque[float] = deque(maxlen=WINDOW)
        self._warm_up: deque[float] = deque(maxlen=WINDOW)

    def add(self, latency: float) -> None:
        """A latency (s) of a chunk that was made for use."""
        self._measured.append(latency)

    def add_warm_up(self, latency: float) -> None:
        """A latency of a prediction that nobody used: an estimate until enough are measured."""
        self._warm_up.append(latency)

    @property
    def p95(self) -> float:
        """0 before anything was measured."""
        values = list(self._measured)
        if len(values) < ENOUGH:
            values += self._warm_up
        return float(np.percentile(values, 95)) if values else 0.0


@dataclass(frozen=True)
class Scheduler:
    """Timing of one policy: step between its actions (ns, already stretched by the playback rate) and mode."""

    mode: SchedulingMode
    step_ns: int
    overlap_steps: int

    def start_ns(self, running: Plan | None, latency: float) -> int | None:
        """The earliest time (ns) of the next inference; ``None`` for at once."""
        if self.mode is SchedulingMode.CONTINUOUS or running is None:
            return None
        return running.end_ns - self.overlap_steps * self.step_ns - round(latency * NANOSECONDS)

    def prefix_length(self, running: Plan | None, t_obs_ns: int, now_ns: int, latency: float, chunk_size: int) -> int:
        """Steps of a chunk from ``t_obs_ns``, started now, that are given from the running plan.

        These are all steps earlier than now + latency + the overlap steps, as far as the running plan goes; one step
        at least stays free.
        """
        if running is None:
            return 0
        horizon = now_ns + round(latency * NANOSECONDS) + self.overlap_steps * self.step_ns
        earlier = -((t_obs_ns - horizon) // self.step_ns)
        planned = (running.end_ns - t_obs_ns) // self.step_ns + 1
        return int(np.clip(min(earlier, planned), 0, chunk_size - 1))
