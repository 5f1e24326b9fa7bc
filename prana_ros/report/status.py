"""The state of a running graph in one line."""

import math
from collections import deque

import numpy as np

from prana_ros.report.records import ArmRecord, ChunkRecord, SeriesRecord

WINDOW = 10.0
"""Seconds of chunks over which rate, latency and seams are taken."""


class Status:
    """Keeps the newest reports and says in one line how the run goes."""

    def __init__(self) -> None:
        self.arm: ArmRecord | None = None
        self.series: SeriesRecord | None = None
        self._chunks: deque[ChunkRecord] = deque()

    def on_arm(self, record: ArmRecord) -> None:
        """Take a report of the driver."""
        self.arm = record

    def on_series(self, record: SeriesRecord) -> None:
        """Take a report of the series of episodes."""
        if record.state != "running":
            # The pause between two episodes is no slow chunk.
            self._chunks = deque()
        self.series = record

    def on_chunk(self, record: ChunkRecord) -> None:
        """Take a chunk report."""
        chunks = self._chunks
        chunks.append(record)
        while chunks[0].time < record.time - WINDOW:
            chunks.popleft()

    def line(self) -> str:
        """Return episode and state, arm mode, chunk rate, latency, frames lost and seam, as far as known."""
        chunks = list(self._chunks)
        parts = [self._episode(), f"arm {self.arm.mode}" if self.arm else "arm not seen"]
        if self.arm and self.arm.stop_message:
            parts.append(self.arm.stop_message)
        if chunks:
            parts.append(_rate(chunks))
        if made := [chunk for chunk in chunks if chunk.was_made]:
            parts += [_latency(made), _lost(made[-1]), _seam(made)]
        return " | ".join(part for part in parts if part)

    def _episode(self) -> str:
        if self.series is None:
            return ""
        series = self.series
        text = f"episode {series.episode + 1}/{series.episodes} {series.state} {series.elapsed:.0f} s"
        successes = series.outcomes.count("success")  # which only the twin can tell
        return f"{text}, {successes} succeeded" if successes else text


def _rate(chunks: list[ChunkRecord]) -> str:
    """Chunks made a second, and why the arm was not given the last one."""
    made = [chunk for chunk in chunks if chunk.was_made]
    span = made[-1].time - made[0].time if made else 0.0
    rate = f"{(len(made) - 1) / span:.1f} chunks/s" if span > 0.0 else "first chunk" if made else "no chunk"
    return rate if chunks[-1].published else f"{rate}: {chunks[-1].reason}"


def _latency(chunks: list[ChunkRecord]) -> str:
    return f"latency {1e3 * float(np.median([chunk.latency for chunk in chunks])):.0f} ms"


def _lost(chunk: ChunkRecord) -> str:
    lost = sum(seen.frames_lost for name, seen in chunk.inputs.items() if name != "joint_states")
    return f"{lost} frames lost"


def _seam(chunks: list[ChunkRecord]) -> str:
    steps = [max(map(abs, chunk.seam_position_step)) for chunk in chunks if chunk.seam_position_step]
    steps = [step for step in steps if math.isfinite(step)]
    return f"seam {math.degrees(max(steps)):.1f}°" if steps else ""
