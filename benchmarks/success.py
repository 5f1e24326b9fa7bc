"""How often each policy puts the screwdriver into the box, on scenes that no training saw, and how it moves.

    make bench-success                                              all policies that are here, all scenes
    make bench-success ARGS="--policies act --scenes hard"          one of them
    make bench-success ARGS="--policies prana_v2 --runner graph --episodes 50"

The v2 is the demo's checkpoint. The others are trained on the same demonstrations and the same number of samples by
``training/train_twin.sh``. Every run is kept with all its episodes in ``results/success/``; the tables are made of all
that were kept.
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop import (
    add_arguments,
    episodes_a_minute,
    evaluate,
    keep,
    kept,
    pair_row,
    percent,
    row,
    trials_of,
)
from benchmarks.harness import Figure, at_least, at_most, in_one_sentence, take_turns, write_result
from prana_ros.evaluation.comparison import Comparison, compare, compare_all
from prana_ros.evaluation.evaluate_lockstep import Trials
from prana_ros.evaluation.evaluated_policy import EvaluatedPolicy
from prana_ros.evaluation.playback import SYNCHRONOUS
from prana_ros.evaluation.result import EXPERT, GRAPH, LOCKSTEP, Evaluation
from prana_ros.evaluation.summary import episode_metrics
from prana_ros.inference.checkpoint_folder import checkpoint_folder
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.inference.predictor import PolicyInput, Prediction
from prana_ros.learning.training_log import METRICS_FILE, read_metrics, training_seconds
from prana_ros.simulation.scene import DISTRIBUTIONS

V2, RIVALS = "prana_v2", ("act", "diffusion")
CHECKPOINTS = {
    V2: "checkpoints/twin_v2",
    **{kind: f"outputs/train/twin_{kind}/checkpoints/last" for kind in ("prana_v1", *RIVALS)},
    EXPERT: EXPERT,
}
"""In the order of the tables: of a pair, the upper is the first."""
FPS = 10.0
"""Of the demonstrations, which LeRobot's own checkpoints do not tell."""
GOALS = {"standard": 98.0, "hard": 90.0}
"""Success of the v2 in lock-step (%)."""
GRAPH_TOLERANCE = 5.0
"""Points by which its success through the graph may differ from lock-step."""
REPEATS = 20


def candidates(names: Sequence[str] = ()) -> list[EvaluatedPolicy]:
    """Those of the named policies whose training is over and whose checkpoint is here; all if none is named.

    Raises:
        ValueError: if one that was named is not here.
    """
    here = [name for name, path in CHECKPOINTS.items() if path == EXPERT or is_trained(Path(path))]
    if missing := [name for name in names if name not in here]:
        raise ValueError(
            f"{missing[0]}, all its steps trained, is not at {CHECKPOINTS[missing[0]]}: make it with "
            "training/train_twin.sh"
        )
    return [
        EvaluatedPolicy(name, CHECKPOINTS[name], device="cpu", fps=FPS if name in RIVALS else None)
        for name in names or here
    ]


def is_trained(checkpoint: Path) -> bool:
    """Whether there is a checkpoint, and no further one of its training to come."""
    if not checkpoint.is_dir():
        return False
    step = checkpoint.resolve().name
    train = json.loads((checkpoint_folder(checkpoint) / "train_config.json").read_text())
    return not step.isdecimal() or int(step) == train["steps"]


def run(options: argparse.Namespace) -> None:
    """Evaluate what was asked for, and keep it."""
    chosen = candidates(options.policies)
    if options.runner == GRAPH and not options.policies:  # others are no checkpoints, or see stretched images
        chosen = [candidate for candidate in chosen if candidate.name not in (EXPERT, *RIVALS)]
    for candidate in chosen:
        for scenes in options.scenes:
            trials = trials_of(options, "success", scenes, SYNCHRONOUS)
            if options.runner == LOCKSTEP:
                evaluate(candidate, trials, "success")
            else:
                through_graph(candidate, trials)


def through_graph(candidate: EvaluatedPolicy, trials: Trials) -> None:
    """Run the scenes through the ROS graph, and keep them."""
    from prana_ros.bringup.evaluation import evaluate_graph  # rclpy is not needed for the rest

    with tempfile.TemporaryDirectory() as folder:
        keep(evaluate_graph(candidate, trials, folder=Path(folder), real_time_factor=0), "success")


def in_order(evaluations: Sequence[Evaluation], scenes: str, runner: str) -> list[Evaluation]:
    """Those of one distribution and one way of running, in the order of ``CHECKPOINTS``."""
    found = {each.name: each for each in evaluations if (each.scenes, each.runner) == (scenes, runner)}
    return [found[name] for name in CHECKPOINTS if name in found]


def pairs_of(evaluations: Sequence[Evaluation], scenes: str) -> list[Comparison]:
    """Each two policies in lock-step, and each policy through the graph with itself in lock-step on the same scenes.

    Raises:
        ValueError: if two were not given the same scenes.
    """
    lockstep = [each for each in in_order(evaluations, scenes, LOCKSTEP) if each.name != EXPERT]
    both_ways = [
        compare(dataclasses.replace(graph, name=graph_name(graph.name)), on_scenes(each, graph.seeds))
        for graph in in_order(evaluations, scenes, GRAPH)
        for each in lockstep
        if each.name == graph.name
    ]
    return compare_all(lockstep) + both_ways


def graph_name(name: str) -> str:
    """What a policy is called beside itself in lock-step."""
    return f"{name}, graph"


def on_scenes(evaluation: Evaluation, seeds: Collection[int]) -> Evaluation:
    """Only the episodes on these scenes."""
    episodes = tuple(episode for episode in evaluation.episodes if episode.seed in seeds)
    return dataclasses.replace(evaluation, episodes=episodes, requested=len(episodes))


def figures_of(evaluations: Sequence[Evaluation]) -> Iterator[Figure]:
    """Success of each, with its goal where it has one, and every pair on the same scenes."""
    for scenes in DISTRIBUTIONS:
        lockstep = in_order(evaluations, scenes, LOCKSTEP)
        for each in lockstep + in_order(evaluations, scenes, GRAPH):
            title, value = f"{scenes}, {each.name}, {each.runner}", percent(each)
            name = f"{title}: success in {len(each.episodes)}"
            limited = each.name == V2 and each.runner == LOCKSTEP and scenes in GOALS
            yield at_least(name, value, "%", GOALS[scenes]) if limited else Figure(name, value, "%")
            yield Figure(f"{title}: episodes", episodes_a_minute(each), "a minute")
        known = {each.name: each for each in lockstep}
        for pair in pairs_of(evaluations, scenes):
            yield difference_figure(scenes, pair)
            if pair.first == V2 and pair.second in RIVALS:
                yield from smoothness_figures(scenes, pair, known[pair.first], known[pair.second])


def difference_figure(scenes: str, pair: Comparison) -> Figure:
    """Success of the first minus that of the second, in points."""
    name = f"{scenes}, {pair.first} minus {pair.second}: success"
    points = 100 * pair.success.difference.value
    if pair.first == graph_name(V2):
        return Figure(name, points, "points", f"within {GRAPH_TOLERANCE:g}", abs(points) <= GRAPH_TOLERANCE)
    goal = pair.first == V2 and pair.second in RIVALS
    return at_least(name, points, "points", 0) if goal else Figure(name, points, "points")


def smoothness_figures(scenes: str, pair: Comparison, first: Evaluation, second: Evaluation) -> Iterator[Figure]:
    """Jerk where both succeeded, and steps at all seams, of the first relative to the second."""
    title = f"{scenes}, {pair.first} relative to {pair.second}"
    if pair.jerk is not None:
        yield at_most(f"{title}: jerk", pair.jerk.value, "x", 1)
    seams = [episode_metrics(each.episodes)["seam_position_rad"] for each in (first, second)]
    if all(seams) and seams[1]["median"] > 0:
        yield at_most(f"{title}: seam step, median", seams[0]["median"] / seams[1]["median"], "x", 1)


def costs() -> dict[str, dict[str, Any]]:
    """Of each policy that is here: one chunk on one thread (median, ms), and what training took."""
    policies = {each.name: each.load() for each in candidates() if not each.is_expert}
    times = take_turns({name: one_chunk(policy) for name, policy in policies.items()}, REPEATS)
    return {name: {"chunk_ms": time, **training_cost(CHECKPOINTS[name])} for name, time in times.items()}


def one_chunk(policy: LoadedPolicy) -> Callable[[], Prediction]:
    """A prediction from noise images."""
    rng = np.random.default_rng(0)
    images = {
        camera: rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        for camera, (channels, height, width) in policy.spec.cameras.items()
    }
    return partial(policy.predict, [PolicyInput(np.zeros(6), images)] * policy.spec.observation_steps)


def training_cost(checkpoint: str) -> dict[str, Any]:
    """Samples and hours, as the log of the run that the checkpoint is from has it; empty where that is not here."""
    train = json.loads((checkpoint_folder(checkpoint) / "train_config.json").read_text())
    metrics = read_metrics(Path(train["output_dir"]) / METRICS_FILE)
    if not metrics:
        return {}
    return {"training_samples": metrics[-1]["samples"], "training_hours": training_seconds(metrics) / 3600}


def report(evaluations: Sequence[Evaluation], costs: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the figures and tables of all that was kept."""
    experts = {each.scenes: each for each in evaluations if each.name == EXPERT}
    times = [Figure(f"{name}: one chunk, one thread", cost["chunk_ms"], "ms") for name, cost in costs.items()]
    write_result(
        "success",
        [*figures_of(evaluations), *times],
        evaluations=[row(each, experts.get(each.scenes)) for each in evaluations],
        pairs=[pair_row(scenes, pair) for scenes in DISTRIBUTIONS for pair in pairs_of(evaluations, scenes)],
        costs=costs,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", nargs="+", choices=list(CHECKPOINTS), default=[], help="(default: all here)")
    parser.add_argument("--scenes", nargs="+", choices=list(DISTRIBUTIONS), default=list(DISTRIBUTIONS))
    parser.add_argument("--runner", choices=(LOCKSTEP, GRAPH), default=LOCKSTEP, help="(default: %(default)s)")
    add_arguments(parser, episodes=200)
    options = parser.parse_args()
    if options.runner == GRAPH and EXPERT in options.policies:
        parser.error("the expert is no checkpoint that the graph could run; evaluate it through lockstep")
    with in_one_sentence("success"):
        run(options)
        report(kept("success"), costs())


if __name__ == "__main__":
    main()
