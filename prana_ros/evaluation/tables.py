"""Evaluations and their comparisons as text."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from prana_ros.evaluation.comparison import Comparison
from prana_ros.evaluation.episode import OUTCOMES, SUCCESS, Episode
from prana_ros.evaluation.result import Evaluation
from prana_ros.evaluation.statistics import Estimate
from prana_ros.evaluation.summary import episode_metrics
from prana_ros.text import aligned

NONE = "–"


def policy_table(evaluations: Sequence[Evaluation], expert: Sequence[Episode] = ()) -> str:
    """Return a line for each policy; path length and jerk are relative to the expert's where that is given."""
    of_expert = " / expert" if expert else ""
    units = ("", "") if expert else (" (m)", " (rad/s³)")
    head = ["policy", "success", "95 %", *OUTCOMES[1:], "time (s)"]
    head += [f"path{of_expert}{units[0]}", f"jerk{of_expert}{units[1]}", "seam (°)", "seam (°/s)"]
    rows = [_row(evaluation, episode_metrics(evaluation.episodes, expert)) for evaluation in evaluations]
    notes = "time: median of the successes; seam: median and 95th percentile of the step in position and velocity"
    if expert:
        notes += "; path, jerk: mean ratio where both succeeded"
    return f"{aligned([head, *rows])}\n{notes}"


def _row(evaluation: Evaluation, figures: dict[str, Any]) -> list[str]:
    low, high = figures["success_rate_95"]
    counts = [str(figures["outcomes"][outcome] or NONE) for outcome in OUTCOMES[1:]]
    return [
        evaluation.name,
        f"{figures['successes']}/{figures['episodes']}",
        f"{low:.1%} to {high:.1%}",
        *counts,
        _median(figures["time_to_success_s"], ".1f"),
        *_way(figures),
        _seam(figures["seam_position_rad"], ".2f"),
        _seam(figures["seam_velocity_rad_per_s"], ".1f"),
    ]


def _way(figures: dict[str, Any]) -> tuple[str, str]:
    """Path length and jerk."""
    if "relative_to_expert" in figures:
        relative = figures["relative_to_expert"]
        return _ratio(relative["path_length"]), _ratio(relative["jerk"])
    return _median(figures["path_length_m"], ".3f"), _median(figures["jerk_rad_per_s3"], ".1f")


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Return a line for each pair of policies."""
    head = ["first", "second", "difference", "95 %", "only first", "only second", "McNemar p", "path", "jerk"]
    rows = [
        [
            pair.first,
            pair.second,
            f"{100 * pair.success.difference.value:+.1f} points",
            f"{100 * pair.success.difference.low:+.1f} to {100 * pair.success.difference.high:+.1f}",
            str(pair.success.only_first),
            str(pair.success.only_second),
            f"{pair.success.p_value:.3g}",
            _estimate(pair.path_length),
            _estimate(pair.jerk),
        ]
        for pair in comparisons
    ]
    notes = "difference: success of the first minus the second on the same scenes; path, jerk: mean of first / second"
    return f"{aligned([head, *rows])}\n{notes} where both succeeded"


def failures(outcomes: Mapping[str, int]) -> str:
    """Return how many episodes failed in which way."""
    return ", ".join(f"{name} {count}" for name, count in outcomes.items() if count and name != SUCCESS) or NONE


def _median(figures: dict[str, float] | None, form: str) -> str:
    return format(figures["median"], form) if figures else NONE


def _seam(figures: dict[str, float] | None, form: str) -> str:
    return ", ".join(format(math.degrees(figures[name]), form) for name in ("median", "p95")) if figures else NONE


def _ratio(values: list[float] | None) -> str:
    return _estimate(Estimate(*values) if values else None)


def _estimate(estimate: Estimate | None) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})" if estimate else NONE
