"""How often each policy puts the screwdriver into the box, on scenes that no training saw, and how it moves.

    make bench-success                                              all policies that are here, all scenes
    make bench-success ARGS="--policies act --scenes hard"          one of them
    make bench-success ARGS="--policies prana_v2 --through graph --episodes 50"

The demo's checkpoint is the v2; the others are trained on the same demonstrations by ``training/train_twin.sh``. Every
run is kept with all its episodes in ``results/success/``, and the tables are made of all that were kept.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.closed_loop import evaluate, keep, kept, pair_row, row, same_trials
from benchmarks.harness import Figure, at_least, at_most, take_turns, write_result
from prana_ros.evaluation.candidates import Candidate
from prana_ros.evaluation.comparison import compare
from prana_ros.evaluation.playback import Playback
from prana_ros.evaluation.result import EXPERT, GRAPH, LOCKSTEP, Evaluation
from prana_ros.evaluation.run import Trials
from prana_ros.inference.predictor import PolicyInput
from prana_ros.learning.training_log import METRICS_FILE, read_metrics, training_seconds
from prana_ros.simulation.scene import DISTRIBUTIONS

V2 = "prana_v2"
CHECKPOINTS = {
    V2: "checkpoints/twin_v2",
    **{kind: f"outputs/train/twin_{kind}/checkpoints/last" for kind in ("prana_v1", "act", "diffusion")},
    EXPERT: EXPERT,
}
GOALS = {"standard": 98.0, "hard": 90.0}
"""Success of the demo's checkpoint in lock-step (%)."""
GRAPH_TOLERANCE = 5.0
"""Points by which its success through the graph may differ from lock-step."""
REPEATS = 20


def candidates(names: Sequence[str], fps: float) -> list[Candidate]:
    """Those of the named policies whose checkpoint is here; all if none is named.

    Raises:
        SystemExit: if one that was named is not here.
    """
    here = [name for name, path in CHECKPOINTS.items() if path == EXPERT or Path(path).is_dir()]
    if missing := [name for name in names if name not in here]:
        raise SystemExit(f"{missing[0]} is not at {CHECKPOINTS[missing[0]]}: make it with training/train_twin.sh")
    return [
        Candidate(name, CHECKPOINTS[name], device="cpu", fps=None if name.startswith("prana") else fps)
        for name in names or here
    ]


def cost(candidate: Candidate) -> dict[str, Any]:
    """One chunk on one thread (median, ms), and what training took, as the run's own log has it."""
    policy = candidate.load()
    rng = np.random.default_rng(0)
    images = {
        camera: rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        for camera, (channels, height, width) in policy.spec.cameras.items()
    }
    seen = [PolicyInput(np.zeros(6), images)] * policy.spec.observation_steps
    chunk = take_turns({"chunk": lambda: policy.predict(seen)}, REPEATS)["chunk"]
    metrics = read_metrics(Path(f"outputs/train/twin_{candidate.name}") / METRICS_FILE)
    if not metrics:
        return {"chunk_ms": chunk}
    hours = training_seconds(metrics) / 3600
    return {"chunk_ms": chunk, "training_samples": metrics[-1]["samples"], "training_hours": hours}


def run(options: argparse.Namespace) -> None:
    """Evaluate what was asked for, and keep it."""
    command = shlex.join(["make", "bench-success", f"ARGS={shlex.join(sys.argv[1:])}"])
    for candidate in candidates(options.policies, options.fps):
        for scenes in options.scenes:
            trials = Trials(
                scenes,
                range(options.episodes),
                playback=Playback(execute_steps=options.execute_steps),
                worlds=options.worlds,
                processes=options.processes,
                command=command,
            )
            if options.through == LOCKSTEP:
                evaluate(candidate, trials, "success")
            elif not candidate.is_expert:
                through_graph(candidate, trials)


def through_graph(candidate: Candidate, trials: Trials) -> None:
    """Run the scenes through the ROS graph, and keep them."""
    from prana_ros.cli.graph_evaluation import evaluate_graph  # rclpy is not needed for the rest

    with tempfile.TemporaryDirectory() as folder:
        evaluation = evaluate_graph(candidate, trials, folder=Path(folder), real_time_factor=0)
    keep(evaluation, "success")
    print(f"{candidate.name}, {trials.scenes}, graph: {evaluation.successes} of {len(trials.seeds)}")


def figures_of(evaluations: Sequence[Evaluation]) -> Iterator[Figure]:
    """Success of each, with its goal where it has one, and v2 against each of the others on the same scenes."""
    for scenes in DISTRIBUTIONS:
        lockstep = same_trials(evaluations, scenes, LOCKSTEP)
        demo = next((each for each in lockstep if each.name == V2), None)
        for each in lockstep:
            yield success_figure(each, GOALS.get(scenes) if each is demo else None)
        for each in same_trials(evaluations, scenes, GRAPH):
            yield success_figure(each, None)
            if demo is not None and each.name == V2:
                apart = abs(percent(each) - percent(demo))
                yield at_most(f"{scenes}, {V2}: graph and lock-step apart", apart, "points", GRAPH_TOLERANCE)
        for other in lockstep:
            if demo is not None and other.name in ("act", "diffusion", "prana_v1"):
                yield from against(demo, other)


def percent(evaluation: Evaluation) -> float:
    """Success (%)."""
    return 100 * evaluation.successes / len(evaluation.episodes)


def success_figure(evaluation: Evaluation, goal: float | None) -> Figure:
    """The success of one evaluation."""
    name = f"{evaluation.scenes}, {evaluation.name}, {evaluation.through}: success in {len(evaluation.episodes)}"
    return Figure(name, percent(evaluation), "%") if goal is None else at_least(name, percent(evaluation), "%", goal)


def against(demo: Evaluation, other: Evaluation) -> Iterator[Figure]:
    """v2 and another policy on the same scenes: success, jerk, seams."""
    pair = compare(demo, other)
    title = f"{demo.scenes}, {demo.name} against {other.name}"
    yield at_least(f"{title}: difference of success", 100 * pair.success.difference.value, "points", 0)
    if pair.jerk is not None:
        yield at_most(f"{title}: jerk, ratio", pair.jerk.value, "x", 1)
    steps = [np.median([step for e in each.episodes for step in e.seam_steps]) for each in (demo, other)]
    yield at_most(f"{title}: seam step, ratio of the medians", float(steps[0] / steps[1]), "x", 1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", nargs="+", choices=list(CHECKPOINTS), default=[], help="(default: all here)")
    parser.add_argument("--scenes", nargs="+", choices=list(DISTRIBUTIONS), default=list(DISTRIBUTIONS))
    parser.add_argument("--episodes", type=int, default=200, help="unseen scenes of each (default: 200)")
    parser.add_argument("--through", choices=(LOCKSTEP, GRAPH), default=LOCKSTEP)
    parser.add_argument("--execute-steps", type=int, default=8, help="in lock-step (default: 8)")
    parser.add_argument("--fps", type=float, default=10.0, help="of the training data of LeRobot's own policies")
    parser.add_argument("--processes", type=int, default=2, help="(default: 2)")
    parser.add_argument("--worlds", type=int, default=8, help="in each process (default: 8)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run(options)
    evaluations = kept("success")
    experts = {each.scenes: each for each in evaluations if each.name == EXPERT}
    pairs = [
        pair_row(first.scenes, compare(first, second))
        for scenes in DISTRIBUTIONS
        for first in same_trials(evaluations, scenes, LOCKSTEP)
        for second in same_trials(evaluations, scenes, LOCKSTEP)
        if first.name < second.name and EXPERT not in (first.name, second.name)
    ]
    costs = {c.name: cost(c) for c in candidates([], options.fps) if not c.is_expert}
    figures = [*figures_of(evaluations)]
    figures += [Figure(f"{name}: one chunk, one thread", each["chunk_ms"], "ms") for name, each in costs.items()]
    rows = [row(each, experts.get(each.scenes)) for each in evaluations]
    write_result("success", figures, evaluations=rows, pairs=pairs, costs=costs)


if __name__ == "__main__":
    main()
