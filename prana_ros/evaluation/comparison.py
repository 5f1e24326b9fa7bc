"""Two policies on the same scenes."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from prana_ros.evaluation.result import Evaluation
from prana_ros.evaluation.statistics import Estimate, PairedDifference, paired_difference
from prana_ros.evaluation.summary import both_succeeded, quantity_ratio


@dataclass(frozen=True)
class Comparison:
    """The first of two policies against the second.

    Attributes:
        first, second: their names.
        success: difference of the success rates.
        both: scenes in which both succeeded, which alone count for the ratios.
        path_length, jerk: mean of first over second; ``None`` with less than two such scenes.
    """

    first: str
    second: str
    success: PairedDifference
    both: int
    path_length: Estimate | None
    jerk: Estimate | None


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare scene by scene.

    Raises:
        ValueError: if they were not given the same scenes, or the same time.
    """
    if (first.scenes, first.seeds) != (second.scenes, second.seeds):
        raise ValueError(
            f"{first.name} was given {_scenes(first)} and {second.name} {_scenes(second)}; "
            "only results on the same scenes can be compared"
        )
    if first.time_limit != second.time_limit:
        raise ValueError(
            f"{first.name} was given {first.time_limit:g} s a scene and {second.name} {second.time_limit:g} s; "
            "only results with the same time limit can be compared"
        )
    pairs = both_succeeded(first.episodes, second.episodes)
    return Comparison(
        first.name,
        second.name,
        paired_difference([e.success for e in first.episodes], [e.success for e in second.episodes]),
        len(pairs),
        quantity_ratio(pairs, "path_length"),
        quantity_ratio(pairs, "jerk"),
    )


def compare_all(evaluations: Sequence[Evaluation]) -> list[Comparison]:
    """Every pair once, in the order given."""
    return [compare(first, second) for first, second in itertools.combinations(evaluations, 2)]


def _scenes(evaluation: Evaluation) -> str:
    seeds = evaluation.seeds
    if not seeds:
        return f"no {evaluation.scenes} scene"
    gaps = "" if len(seeds) == seeds[-1] - seeds[0] + 1 else f", {len(seeds)} of them"
    return f"{evaluation.scenes} scenes {seeds[0]} to {seeds[-1]}{gaps}"
