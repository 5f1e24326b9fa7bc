"""Run policies in closed loop on the twin, on scenes that training never saw, and report how they did.

    python training/evaluate.py --policy checkpoints/twin_v2 --episodes 100
    python training/evaluate.py --policy checkpoints/twin_v2 outputs/train/act/checkpoints/last --fps 10 --scenes hard
    python training/evaluate.py --policy checkpoints/twin_v2 --runner graph --episodes 50

Any LeRobot policy, and the word `expert` for the scripted one. Through lock-step (no ROS, simulated time stands still
while the policy thinks) or through the running ROS graph. Several policies are compared on the same scenes. A JSON file
for each policy, strips of its failures, and plots are written to the output folder. Ctrl-C: what was run so far.
"""

import argparse
import math
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.evaluate_lockstep import Trials, evaluate_lockstep, require_fit
from prana_ros.evaluation.evaluated_policy import EvaluatedPolicy, names_of
from prana_ros.evaluation.playback import Playback
from prana_ros.evaluation.report import report, write_images, write_policy
from prana_ros.evaluation.result import EXPERT, GRAPH, LOCKSTEP, Evaluation
from prana_ros.simulation.scene import DISTRIBUTIONS, TRAINING_SEEDS

LOCKSTEP_ONLY = {"execute_steps": 8, "asynchronous": False, "latency": 0.0, "worlds": 8}
"""Options that say how lock-step plays chunks, with their defaults."""

LONG_ARE_MISSING = "those that take long, as failures do, are missing more often"


def whole_number(least: int) -> Callable[[str], int]:
    """A parser of whole numbers of at least so much."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
        return int(text)

    return parse


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--policy", nargs="+", required=True, metavar="PATH", help="checkpoints, or the word expert")
    add("--episodes", type=whole_number(1), default=100, help="number of scenes (default: 100)")
    add("--seed", type=whole_number(0), default=0, help="seed of the first scene; each takes the next (default: 0)")
    add("--scenes", choices=tuple(DISTRIBUTIONS), default="standard", help="(default: standard)")
    add("--runner", choices=(LOCKSTEP, GRAPH), default=LOCKSTEP, help="(default: lockstep)")
    add("--time-limit", type=positive, default=15.0, help="simulated seconds a scene (default: 15)")
    add("--fps", type=positive, help="frame rate of the training data, for checkpoints that do not say")
    add("--device", default="auto", help="where the policies compute (default: a GPU where there is one, else cpu)")
    add("--output", type=Path, help="folder to write (default: outputs/evaluation-<date>)")
    add("--no-reference", action="store_true", help="leave out the expert, whose path and jerk are the reference")
    add("--no-strips", action="store_true", help="leave out the image strips of the failures")
    add("--processes", type=whole_number(1), default=2, help="of lock-step, and of the expert (default: 2)")
    lockstep = parser.add_argument_group("lock-step")
    add = lockstep.add_argument
    add("--worlds", type=whole_number(1), help="that share a forward pass, in each process (default: 8)")
    add("--execute-steps", type=whole_number(1), help="steps played of each chunk, if synchronous (default: 8)")
    add("--asynchronous", action="store_true", default=None, help="the arm goes on while the policy thinks")
    add("--latency", type=float, help="simulated seconds from an observation to its chunk (default: 0)")
    graph = parser.add_argument_group("graph")
    graph.add_argument(
        "--real-time-factor", type=positive, help="speed of the twin's clock, at most 1 (default: chosen)"
    )
    graph.add_argument("--params-file", default="", metavar="YAML", help="a ROS parameter file for the nodes")
    return parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options that fit together; what does not is refused in one sentence."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.seed > TRAINING_SEEDS - options.episodes:
        parser.error(f"scenes must lie in 0 … {TRAINING_SEEDS - 1}: those above were used for training")
    given = [name for name in LOCKSTEP_ONLY if getattr(options, name) is not None]
    if options.runner == GRAPH and given:
        parser.error(
            f"--{given[0].replace('_', '-')} says how lock-step plays chunks; the graph plays them as deployed"
        )
    if options.runner == GRAPH and EXPERT in options.policy:
        parser.error("the expert is no checkpoint that the graph could run; evaluate it through lockstep")
    if options.runner == LOCKSTEP and options.real_time_factor is not None:
        parser.error("--real-time-factor belongs to --runner graph; lock-step runs as fast as the machine can")
    if options.runner == LOCKSTEP and options.params_file:
        parser.error("--params-file belongs to --runner graph; lock-step has no nodes")
    if options.real_time_factor is not None and options.real_time_factor > 1:
        parser.error(f"--real-time-factor is {options.real_time_factor:g}; it must be at most 1, real time")
    for name in set(LOCKSTEP_ONLY) - set(given):
        setattr(options, name, LOCKSTEP_ONLY[name])
    return options


def evaluate(options: argparse.Namespace) -> int:
    """Evaluate all policies; print and write everything. Returns the exit code."""
    folder = options.output or Path("outputs") / f"evaluation-{time.strftime('%Y-%m-%d-%H%M%S')}"
    require, run = ways(options, folder)
    trials = trials_of(options)
    candidates = [
        EvaluatedPolicy(name, path, options.device, None if path == EXPERT else options.fps)
        for name, path in zip(names_of(options.policy), options.policy, strict=True)
    ]
    for candidate in candidates:
        require(candidate, trials)
    folder.mkdir(parents=True, exist_ok=True)
    expert: tuple[Episode, ...] = ()
    done: dict[str, Evaluation] = {}
    if EXPERT in options.policy or not options.no_reference:
        done[EXPERT] = evaluate_lockstep(EvaluatedPolicy(EXPERT, EXPERT), trials)
        expert = done[EXPERT].episodes
    for candidate in candidates:
        if candidate.path not in done and not any(evaluation.broken_off for evaluation in done.values()):
            done[candidate.path] = run(candidate, trials)
        if candidate.path in done and done[candidate.path].episodes:
            print(f"written: {', '.join(map(str, write_policy(done[candidate.path], folder, expert)))}")
    return finish([done[candidate.path] for candidate in candidates if candidate.path in done], expert, folder)


def ways(options: argparse.Namespace, folder: Path) -> tuple[Callable, Callable]:
    """What refuses a policy that cannot be evaluated, and what evaluates one."""
    if options.runner == LOCKSTEP:
        return require_fit, evaluate_lockstep

    from prana_ros.bringup import evaluation  # lock-step needs no ROS

    run = partial(
        evaluation.evaluate_graph,
        folder=folder,
        real_time_factor=options.real_time_factor or 0.0,
        params_file=options.params_file,
    )
    return evaluation.require_fit, run


def trials_of(options: argparse.Namespace) -> Trials:
    """What all policies are given."""
    return Trials(
        scenes=options.scenes,
        seeds=range(options.seed, options.seed + options.episodes),
        time_limit=options.time_limit,
        playback=Playback(options.execute_steps, options.asynchronous, options.latency),
        worlds=options.worlds,
        processes=options.processes,
        strip=not options.no_strips,
        command=shlex.join(["python", *sys.argv]),
    )


def finish(evaluations: list[Evaluation], expert: tuple[Episode, ...], folder: Path) -> int:
    """Print the tables, write the plots, and say what broke off; returns the exit code."""
    told = [evaluation for evaluation in evaluations if evaluation.episodes]
    if told:
        images = write_images(told, folder, expert)
        print(f"\n{report(told, expert)}\n\nwritten: {', '.join(map(str, images))}")
    broken_off = [evaluation for evaluation in evaluations if evaluation.broken_off]
    for evaluation in broken_off:
        why = evaluation.graph.get("failure") or ("" if evaluation.runner == GRAPH else LONG_ARE_MISSING)
        count = f"{len(evaluation.episodes)} of {evaluation.requested} scenes"
        print(f"evaluate: {evaluation.name} was broken off after {count}{why and ': '}{why}", file=sys.stderr)
    if not told:
        print("evaluate: no scene of a policy was over; nothing was written", file=sys.stderr)
    if any(evaluation.graph.get("failure") for evaluation in broken_off):
        return 1
    return 130 if broken_off or not evaluations else 0


def main() -> int:
    """Command line."""
    options = parse()
    try:
        return evaluate(options)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the first scene, or while the report was being written
        return 130


if __name__ == "__main__":
    sys.exit(main())
