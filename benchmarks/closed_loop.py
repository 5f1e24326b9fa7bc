"""Closed-loop evaluations that benchmarks share: each is kept as a file with all its episodes.

A benchmark makes its figures of the files that are there, so that policies may be evaluated one after the other, where
they were trained.
"""

import argparse
import re
from dataclasses import astuple
from typing import Any

from benchmarks.harness import RESULTS, make_command
from prana_ros.evaluation.comparison import Comparison
from prana_ros.evaluation.evaluate_lockstep import Trials, evaluate_lockstep
from prana_ros.evaluation.evaluated_policy import EvaluatedPolicy
from prana_ros.evaluation.playback import Playback
from prana_ros.evaluation.result import Evaluation, read_evaluation, write_evaluation
from prana_ros.evaluation.summary import episode_metrics


def add_arguments(parser: argparse.ArgumentParser, episodes: int) -> None:
    """Options of every benchmark that runs episodes."""
    parser.add_argument("--episodes", type=int, default=episodes, help="unseen scenes of each (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="of lock-step (default: %(default)s)")
    parser.add_argument("--worlds", type=int, default=8, help="in each process (default: %(default)s)")


def trials_of(options: argparse.Namespace, benchmark: str, scenes: str, playback: Playback) -> Trials:
    """Scenes from seed 0 on, as the options have it."""
    return Trials(
        scenes,
        range(options.episodes),
        playback=playback,
        worlds=options.worlds,
        processes=options.processes,
        command=make_command(benchmark),
    )


def evaluate(candidate: EvaluatedPolicy, trials: Trials, benchmark: str) -> None:
    """Run all scenes in lock-step and keep them.

    Raises:
        ValueError: if the policy does not fit, or the run was broken off.
    """
    keep(evaluate_lockstep(candidate, trials), benchmark)


def keep(evaluation: Evaluation, benchmark: str) -> None:
    """Write an evaluation beside the benchmark's figures, in the place of an earlier one of the same.

    Raises:
        ValueError: if it was broken off.
    """
    title = f"{evaluation.name}, {evaluation.scenes}, {evaluation.runner}"
    count = f"{len(evaluation.episodes)} of {evaluation.requested} scenes"
    if evaluation.broken_off:
        why = evaluation.graph.get("failure") or "interrupted"
        raise ValueError(f"{title} was broken off after {count}, which were not kept: {why}")
    folder = RESULTS / benchmark
    folder.mkdir(parents=True, exist_ok=True)
    write_evaluation(evaluation, folder / f"{re.sub(r'\W+', '_', title)}.json")
    print(f"{title}: {evaluation.successes} of {evaluation.requested}, {episodes_a_minute(evaluation):.0f} a minute")


def kept(benchmark: str) -> list[Evaluation]:
    """All evaluations that were kept, by name of their file.

    Raises:
        ValueError: if a file is none.
    """
    return [read_evaluation(path) for path in sorted((RESULTS / benchmark).glob("*.json"))]


def percent(evaluation: Evaluation) -> float:
    """Success (%)."""
    return 100 * evaluation.successes / len(evaluation.episodes)


def episodes_a_minute(evaluation: Evaluation) -> float:
    """By the clock on the wall."""
    return 60 * len(evaluation.episodes) / evaluation.seconds


def row(evaluation: Evaluation, expert: Evaluation | None = None) -> dict[str, Any]:
    """What a table says of an evaluation."""
    return {
        "name": evaluation.name,
        "scenes": evaluation.scenes,
        "runner": evaluation.runner,
        "playback": evaluation.playback,
        "policy": evaluation.policy,
        "seconds": evaluation.seconds,
        **episode_metrics(evaluation.episodes, expert.episodes if expert else ()),
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
