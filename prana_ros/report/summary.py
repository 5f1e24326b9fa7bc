"""The metrics of a run as text."""

import math
from typing import Any

from prana_ros.report.log import LoggedEpisode, RunLog


def summarize_run(log: RunLog, real_time_factor: float = 1.0) -> str:
    """Return the outcome of every episode and the metrics of the run, a line each."""
    metrics = log.metrics()
    rows = [
        ("episodes", _outcomes(log.episodes())),
        ("chunks", _chunks(metrics)),
        ("seams", _seams(metrics)),
        ("servo loop", _servo_loop(metrics)),
        ("frames", _frames(metrics["frames"])),
        ("clock", "real time" if real_time_factor == 1.0 else f"{real_time_factor:g} of real time, on /clock"),
    ]
    return "\n".join(f"{name:<11}{text}" for name, text in rows)


def _outcomes(episodes: list[LoggedEpisode]) -> str:
    if not episodes:
        return "none ran"
    successes = sum(episode.outcome == "success" for episode in episodes)
    listed = "\n".join(f"{'':<13}{e.index + 1}: {e.outcome} after {e.duration:.1f} s" for e in episodes)
    return f"{successes} of {len(episodes)} succeeded\n{listed}"


def _chunks(metrics: dict[str, Any]) -> str:
    latency = metrics["latency_s"]
    if latency is None:
        return f"none published, {metrics['chunks_not_published']} held back"
    text = (
        f"{metrics['chunks']} published, latency p50 {1e3 * latency['p50']:.0f} ms, p95 {1e3 * latency['p95']:.0f} ms"
    )
    held_back = metrics["chunks_not_published"]
    return f"{text}, {held_back} held back" if held_back else text


def _seams(metrics: dict[str, Any]) -> str:
    position, velocity = metrics["seam_position_rad"], metrics["seam_velocity_rad_per_s"]
    if position is None:
        return "none"
    text = f"position step p50 {_degrees(position['p50'])}, p95 {_degrees(position['p95'])}"
    if velocity is None:
        return text
    return f"{text}; velocity step p50 {_degrees(velocity['p50'])}/s, p95 {_degrees(velocity['p95'])}/s"


def _servo_loop(metrics: dict[str, Any]) -> str:
    if metrics["servo_rate_hz"] is None:
        return "not seen"
    error = metrics["servo_period_error_p99_s"]
    jitter = "no command in an episode" if error is None else f"period error p99 {1e3 * error:.1f} ms in the episodes"
    lost = f"{metrics['commands_lost']} of {metrics['commands_sent']} commands lost"
    return f"{metrics['servo_rate_hz']:.1f} Hz, {jitter}, {lost}"


def _frames(frames: dict[str, dict[str, int]]) -> str:
    if not frames:
        return "none seen"
    parts = []
    for name, count in frames.items():
        parts.append(f"{name} {count['lost']} of {count['received'] + count['lost']} lost")
    return ", ".join(parts)


def _degrees(angle: float) -> str:
    return f"{math.degrees(angle):.2f}°"
