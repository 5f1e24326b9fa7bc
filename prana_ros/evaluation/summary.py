"""The figures of a series of episodes."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from prana_ros.evaluation.episode import OUTCOMES, Episode
from prana_ros.evaluation.statistics import Estimate, mean_ratio, success_rate


def episode_metrics(episodes: Sequence[Episode], expert: Sequence[Episode] = ()) -> dict[str, Any]:
    """Return success with its interval, outcomes, time, way, smoothness; ``None`` where there is nothing to tell of.

    Time, path length and jerk are those of the successes: a failure that lies still is short and smooth.

    Args:
        expert: the expert's episodes on the same scenes, for ``relative_to_expert``.

    Raises:
        ValueError: without an episode.
    """
    successes = [episode for episode in episodes if episode.success]
    rate = success_rate(len(successes), len(episodes))
    counts = Counter(episode.outcome for episode in episodes)
    figures: dict[str, Any] = {
        "episodes": len(episodes),
        "successes": len(successes),
        "success_rate": rate.value,
        "success_rate_95": [rate.low, rate.high],
        "outcomes": {outcome: counts[outcome] for outcome in OUTCOMES},
        "time_to_success_s": quantiles((e.duration for e in successes), {"median": 0.5, "p90": 0.9}),
        "path_length_m": quantiles((e.path_length for e in successes), {"median": 0.5, "p90": 0.9}),
        "jerk_rad_per_s3": quantiles((e.jerk for e in successes), {"median": 0.5, "p90": 0.9}),
        "seam_position_rad": quantiles((step for e in episodes for step in e.seam_steps), _SEAM),
        "seam_velocity_rad_per_s": quantiles((step for e in episodes for step in e.seam_velocity_steps), _SEAM),
        "chunks": sum(episode.chunks for episode in episodes),
    }
    if expert:
        figures["relative_to_expert"] = relative_figures(episodes, expert)
    return figures


_SEAM = {"median": 0.5, "p95": 0.95, "max": 1.0}


def relative_figures(episodes: Sequence[Episode], others: Sequence[Episode]) -> dict[str, Any]:
    """Mean ratio of path length and of jerk, with intervals, on the scenes in which both succeeded."""
    pairs = both_succeeded(episodes, others)
    ratios = {name: quantity_ratio(pairs, name) for name in ("path_length", "jerk")}
    return {"scenes": len(pairs), **{name: ratio and list(astuple(ratio)) for name, ratio in ratios.items()}}


def both_succeeded(first: Sequence[Episode], second: Sequence[Episode]) -> list[tuple[Episode, Episode]]:
    """The episodes of both on each scene in which both succeeded."""
    others = {episode.seed: episode for episode in second if episode.success}
    return [(episode, others[episode.seed]) for episode in first if episode.success and episode.seed in others]


def quantity_ratio(pairs: Sequence[tuple[Episode, Episode]], name: str) -> Estimate | None:
    """Mean ratio of ``path_length`` or ``jerk`` over pairs of episodes; ``None`` with less than two that moved."""
    values = quantity_pairs(pairs, name)
    return mean_ratio([first for first, _ in values], [second for _, second in values])


def quantity_pairs(pairs: Sequence[tuple[Episode, Episode]], name: str) -> list[tuple[float, float]]:
    """``path_length`` or ``jerk`` of both episodes of each pair, without those that were over before the arm moved."""
    values = [(getattr(first, name), getattr(second, name)) for first, second in pairs]
    return [(first, second) for first, second in values if first > 0 and second > 0]


def quantiles(values: Iterable[float], chosen: dict[str, float]) -> dict[str, float] | None:
    """Quantiles of the finite values by name, ``None`` if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    return {name: float(np.quantile(finite, level)) for name, level in chosen.items()}
