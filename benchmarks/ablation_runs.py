"""What a change does to a trained v2: runs that differ in one thing, on the same unseen scenes, in lock-step."""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.closed_loop import add_arguments, evaluate, kept, pair_row, percent, row, trials_of
from benchmarks.harness import Figure, at_least, in_one_sentence, write_result
from benchmarks.inpainting_variants import Variant
from prana_ros.evaluation.comparison import Comparison, compare
from prana_ros.evaluation.playback import SYNCHRONOUS, Playback
from prana_ros.evaluation.result import Evaluation
from prana_ros.evaluation.summary import episode_metrics
from prana_ros.simulation.scene import DISTRIBUTIONS


@dataclass(frozen=True)
class Change:
    """What is changed of the policy, how its chunks are played, and the name of the run that it is compared with."""

    reference: str
    changes: Mapping[str, object] = field(default_factory=dict)
    playback: Playback = SYNCHRONOUS


def make_parser(description: str) -> argparse.ArgumentParser:
    """The options that all such benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="checkpoints/twin_v2", help="(default: %(default)s)")
    parser.add_argument("--scenes", choices=list(DISTRIBUTIONS), default="hard", help="(default: %(default)s)")
    add_arguments(parser, episodes=100)
    return parser


def measure(
    benchmark: str,
    runs: Mapping[str, Change],
    chosen: Sequence[str],
    options: argparse.Namespace,
    losses: Mapping[str, float],
) -> None:
    """Evaluate what was chosen, and write the figures of all runs that were kept.

    Args:
        benchmark: its name.
        runs: all there are, by name.
        chosen: names of those to run now.
        options: by :func:`make_parser`.
        losses: the most points of success that runs shall lose against what they are compared with, by name.

    Raises:
        SystemExit: with one sentence.
    """
    with in_one_sentence(benchmark):
        for name in chosen:
            run = runs[name]
            candidate = Variant(name, options.checkpoint, device="cpu", **run.changes)
            evaluate(candidate, trials_of(options, benchmark, options.scenes, run.playback), benchmark)
        evaluations = in_order(kept(benchmark), runs, options.scenes)
        pairs = compare_with_references(evaluations, runs)
        write_result(
            benchmark,
            [*figures_of(evaluations, pairs, losses)],
            evaluations=[row(each) for each in evaluations],
            pairs=[pair_row(options.scenes, pair) for pair in pairs],
        )


def in_order(evaluations: Sequence[Evaluation], runs: Mapping[str, Change], scenes: str) -> list[Evaluation]:
    """Those of one distribution, in the order of the runs."""
    known = {each.name: each for each in evaluations if each.scenes == scenes}
    return [known[name] for name in runs if name in known]


def compare_with_references(evaluations: Sequence[Evaluation], runs: Mapping[str, Change]) -> list[Comparison]:
    """Each against its reference, where both are there.

    Raises:
        ValueError: if they were not given the same scenes.
    """
    known = {each.name: each for each in evaluations}
    references = {name: runs[name].reference for name in known}
    return [
        compare(known[name], known[reference])
        for name, reference in references.items()
        if reference != name and reference in known
    ]


def figures_of(
    evaluations: Sequence[Evaluation], pairs: Sequence[Comparison], losses: Mapping[str, float]
) -> Iterator[Figure]:
    """Success, time and seams of each, and the difference from what it is compared with."""
    compared = {pair.first: pair for pair in pairs}
    for each in evaluations:
        summary = episode_metrics(each.episodes)
        yield Figure(f"{each.name}: success in {len(each.episodes)}", percent(each), "%")
        if time := summary["time_to_success_s"]:
            yield Figure(f"{each.name}: time to success, median", time["median"], "s")
        if seam := summary["seam_position_rad"]:
            yield Figure(f"{each.name}: seam step, median", math.degrees(seam["median"]), "deg")
            yield Figure(f"{each.name}: seam step, 95th percentile", math.degrees(seam["p95"]), "deg")
        if pair := compared.get(each.name):
            title = f"{each.name}: success minus that of '{pair.second}'"
            points = 100 * pair.success.difference.value
            limit = losses.get(each.name)
            yield Figure(title, points, "points") if limit is None else at_least(title, points, "points", -limit)
            if pair.jerk is not None:
                yield Figure(f"{each.name}: jerk relative to '{pair.second}'", pair.jerk.value, "x")
