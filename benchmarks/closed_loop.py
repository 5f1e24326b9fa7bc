"""Closed-loop evaluations that benchmarks share: each is kept as a file with all its episodes.

A benchmark makes its figures of the files that are there, so that policies may be evaluated one after the other, where
they were trained.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from benchmarks.harness import RESULTS
from prana_ros.evaluation.candidates import Candidate
from prana_ros.evaluation.comparison import Comparison
from prana_ros.evaluation.result import Evaluation, read_evaluation, write_evaluation
from prana_ros.evaluation.run import Trials, evaluate_lockstep
from prana_ros.evaluation.summary import summarise


def evaluate(candidate: Candidate, trials: Trials, benchmark: str) -> Evaluation:
    """Run all scenes in lock-step and keep them.

    Raises:
        SystemExit: if they were broken off.
    """
    start = time.monotonic()
    evaluation = evaluate_lockstep(candidate, trials)
    keep(evaluation, benchmark)
    rate = 60 * len(evaluation.episodes) / (time.monotonic() - start)
    print(f"{candidate.name}, {trials.scenes}: {evaluation.successes} of {len(trials.seeds)}, {rate:.0f} a minute")
    return evaluation


def keep(evaluation: Evaluation, benchmark: str) -> None:
    """Write an evaluation beside the benchmark's figures.

    Raises:
        SystemExit: if it was broken off.
    """
    if evaluation.broken_off:
        raise SystemExit(f"{evaluation.name} was broken off: nothing was kept")
    folder = RESULTS / benchmark
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", f"{evaluation.name} {evaluation.scenes} {evaluation.through}")
    write_evaluation(evaluation, folder / f"{name}.json")


def kept(benchmark: str) -> list[Evaluation]:
    """All evaluations that were kept, by name of their file."""
    return [read_evaluation(path) for path in sorted((RESULTS / benchmark).glob("*.json"))]


def row(evaluation: Evaluation, expert: Evaluation | None = None) -> dict[str, Any]:
    """What a table says of an evaluation."""
    return {
        "name": evaluation.name,
        "scenes": evaluation.scenes,
        "through": evaluation.through,
        "playback": evaluation.playback,
        "policy": evaluation.policy,
        **summarise(evaluation.episodes, expert.episodes if expert else ()),
    }


def pair_row(scenes: str, pair: Comparison) -> dict[str, Any]:
    """What a table says of two policies on the same scenes; ratios with their interval, None without enough scenes."""
    ratios = {"path_length": pair.path_length, "jerk": pair.jerk}
    return {
        "first": pair.first,
        "second": pair.second,
        "scenes": scenes,
        "difference": list(astuple(pair.success.difference)),
        "only_first": pair.success.only_first,
        "only_second": pair.success.only_second,
        "p_value": pair.success.p_value,
        "both": pair.both,
        **{name: ratio and list(astuple(ratio)) for name, ratio in ratios.items()},
    }


def same_trials(evaluations: Sequence[Evaluation], scenes: str, through: str) -> list[Evaluation]:
    """Those of one distribution and one way of running."""
    return [each for each in evaluations if (each.scenes, each.through) == (scenes, through)]
