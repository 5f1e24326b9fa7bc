"""The log of a run: everything noted while it ran, and its figures."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prana_ros.report.records import ArmRecord, ChunkRecord, JointRecord, SeriesRecord
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.text import without_nan


@dataclass(frozen=True)
class LoggedEpisode:
    """One episode of the run: when the policy drove the arm (s of the graph's clock) and how it ended."""

    index: int
    start: float
    end: float
    outcome: str

    @property
    def duration(self) -> float:
        """Seconds for which the policy drove the arm."""
        return self.end - self.start


@dataclass
class RunLog:
    """Records in the order of their arrival."""

    chunks: list[ChunkRecord] = field(default_factory=list)
    arm: list[ArmRecord] = field(default_factory=list)
    series: list[SeriesRecord] = field(default_factory=list)
    measured: list[JointRecord] = field(default_factory=list)
    commanded: list[JointRecord] = field(default_factory=list)

    def episodes(self) -> list[LoggedEpisode]:
        """Return the episodes that ran, from the times at which the series said that it began and ended them."""
        starts: dict[int, float] = {}
        ends: dict[int, float] = {}
        for record in self.series:
            if record.state == "running":
                starts.setdefault(record.episode, record.time)
            for index in range(len(record.outcomes)):
                ends.setdefault(index, record.time)
        outcomes = self.series[-1].outcomes if self.series else ()
        last = self.series[-1].time if self.series else math.nan
        return [
            LoggedEpisode(
                index, start, ends.get(index, last), outcomes[index] if index < len(outcomes) else "unfinished"
            )
            for index, start in sorted(starts.items())
        ]

    def metrics(self) -> dict[str, Any]:
        """Return the run's figures: chunk latency, seams, servo loop and frames. ``None`` where nothing was seen."""
        published = [chunk for chunk in self.chunks if chunk.published]
        seams = [chunk for chunk in published if chunk.seam_position_step]
        latest = self.arm[-1] if self.arm else None
        return {
            "chunks": len(published),
            "chunks_not_published": sum(chunk.was_made for chunk in self.chunks) - len(published),
            "latency_s": percentiles([chunk.latency for chunk in published]),
            "context_s": percentiles([chunk.context_time for chunk in published]),
            "denoise_s": percentiles([chunk.denoise_time for chunk in published]),
            "seam_position_rad": percentiles([_largest(chunk.seam_position_step) for chunk in seams]),
            "seam_velocity_rad_per_s": percentiles([_largest(chunk.seam_velocity_step) for chunk in seams]),
            "servo_rate_hz": latest.cycle_rate if latest else None,
            "servo_period_error_p99_s": self._period_error_p99(),
            "commands_sent": latest.commands_sent if latest else None,
            "commands_lost": latest.commands_lost if latest else None,
            "commands_limited": latest.commands_limited if latest else None,
            "trajectories_refused": latest.trajectories_refused if latest else None,
            "communication_errors": latest.communication_errors if latest else None,
            "frames": self._frames(),
        }

    def _period_error_p99(self) -> float | None:
        """99th percentile of abs(period − median) between the commands of the episodes, in s.

        Not of the driver's own reports: those of its last 10 s still tell of the time in which the policy was loaded.
        """
        times = np.array([command.time for command in self.commanded])
        periods = np.concatenate(
            [np.diff(times[(times >= e.start) & (times <= e.end)]) for e in self.episodes()] or [np.empty(0)]
        )
        return float(np.percentile(np.abs(periods - np.median(periods)), 99)) if len(periods) else None

    def _frames(self) -> dict[str, dict[str, int]]:
        """Frames that the policy received and lost of each camera; its counters restart when it is activated."""
        frames: dict[str, dict[str, int]] = {}
        for chunk in self.chunks:
            for name, seen in chunk.inputs.items():
                if name != "joint_states":
                    frames[name] = {"received": seen.frames_received, "lost": seen.frames_lost}
        return frames

    def write(self, path: Path, **about: Any) -> None:
        """Write the log as JSON: what ``about`` says, the figures, the episodes and every record."""
        content = {
            **about,
            "joint_names": JOINT_NAMES,
            "metrics": self.metrics(),
            "episodes": [asdict(episode) for episode in self.episodes()],
            "chunks": [asdict(chunk) for chunk in self.chunks],
            "arm": [asdict(arm) for arm in self.arm],
            "measured": [(round(joint.time, 4), _rounded(joint.position)) for joint in self.measured],
            "commanded": [(round(joint.time, 4), _rounded(joint.position)) for joint in self.commanded],
        }
        path.write_text(json.dumps(without_nan(content)) + "\n", encoding="utf-8")


def percentiles(values: list[float]) -> dict[str, float] | None:
    """Return the 50th and 95th percentile and the maximum of the finite values, or ``None`` if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    p50, p95 = np.percentile(finite, [50, 95])
    return {"p50": float(p50), "p95": float(p95), "max": max(finite)}


def _largest(values: tuple[float, ...]) -> float:
    return max(abs(value) for value in values)


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, 5) for value in values]
