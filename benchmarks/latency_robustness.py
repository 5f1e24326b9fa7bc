"""What added latency does to the trained v2: waiting for each chunk, against chunks that keep the time of their
observation while the arm goes on.

    make bench-latency_robustness

On the same unseen hard scenes in lock-step, where latency is simulated. Every run is kept with all its episodes in
``results/latency_robustness/``.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence

import torch

from benchmarks.closed_loop import evaluate, kept, pair_row, row
from benchmarks.harness import Figure, at_least, write_result
from prana_ros.evaluation.candidates import Candidate
from prana_ros.evaluation.comparison import Comparison, compare
from prana_ros.evaluation.playback import Playback
from prana_ros.evaluation.result import Evaluation
from prana_ros.evaluation.run import Trials

LATENCIES = (0.0, 0.1, 0.2, 0.4)
"""Seconds from an observation to the arrival of its chunk."""
LIMIT = 0.2
"""The latency at which an asynchronous v2 shall have lost no more than ``LOSS`` points."""
LOSS = 5.0
SYNCHRONOUS, ASYNCHRONOUS = "synchronous", "asynchronous"


def name_of(mode: str, latency: float) -> str:
    """What a run is called."""
    return f"{mode} {1000 * latency:.0f} ms"


def run(options: argparse.Namespace) -> None:
    """Evaluate what was asked for, and keep it."""
    command = shlex.join(["make", "bench-latency_robustness", f"ARGS={shlex.join(sys.argv[1:])}"])
    for mode in options.modes:
        for latency in options.latencies:
            trials = Trials(
                options.scenes,
                range(options.episodes),
                playback=Playback(asynchronous=mode == ASYNCHRONOUS, latency=latency),
                worlds=options.worlds,
                processes=options.processes,
                command=command,
            )
            evaluate(Candidate(name_of(mode, latency), options.checkpoint, "cpu"), trials, "latency_robustness")


def comparisons(evaluations: Sequence[Evaluation]) -> list[tuple[float, Comparison]]:
    """Each latency against none in the same mode."""
    known = {each.name: each for each in evaluations}
    return [
        (latency, compare(known[name_of(mode, latency)], known[name_of(mode, 0)]))
        for mode in (SYNCHRONOUS, ASYNCHRONOUS)
        for latency in LATENCIES[1:]
        if {name_of(mode, latency), name_of(mode, 0)} <= known.keys()
    ]


def figures_of(evaluations: Sequence[Evaluation]) -> Iterator[Figure]:
    """Success and time of each, and the difference from no latency."""
    for each in evaluations:
        durations = sorted(episode.duration for episode in each.episodes if episode.success)
        yield Figure(f"{each.name}: success in {len(each.episodes)}", 100 * each.successes / len(each.episodes), "%")
        if durations:
            yield Figure(f"{each.name}: time to success, median", durations[len(durations) // 2], "s")
    for latency, pair in comparisons(evaluations):
        title, points = f"{pair.first}: success minus that without latency", 100 * pair.success.difference.value
        limited = latency == LIMIT and pair.first.startswith(ASYNCHRONOUS)
        yield at_least(title, points, "points", -LOSS) if limited else Figure(title, points, "points")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", nargs="+", choices=(SYNCHRONOUS, ASYNCHRONOUS), default=[SYNCHRONOUS, ASYNCHRONOUS])
    parser.add_argument("--latencies", nargs="+", type=float, choices=LATENCIES, default=LATENCIES)
    parser.add_argument("--checkpoint", default="checkpoints/twin_v2", help="(default: %(default)s)")
    parser.add_argument("--scenes", default="hard", help="(default: hard)")
    parser.add_argument("--episodes", type=int, default=100, help="unseen scenes of each (default: 100)")
    parser.add_argument("--processes", type=int, default=2, help="(default: 2)")
    parser.add_argument("--worlds", type=int, default=8, help="in each process (default: 8)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run(options)
    evaluations = kept("latency_robustness")
    pairs = [pair_row(evaluations[0].scenes, pair) for _, pair in comparisons(evaluations)]
    rows = [row(each) for each in evaluations]
    write_result("latency_robustness", [*figures_of(evaluations)], evaluations=rows, pairs=pairs)


if __name__ == "__main__":
    main()
