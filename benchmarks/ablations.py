"""What the trained v2 owes to its parts: each is changed by itself, on the same unseen hard scenes.

    make bench-ablations                                                       all of them
    make bench-ablations ARGS="--only 'one step' 'white noise'"                some of them

Every run is kept with all its episodes in ``results/ablations/``, and the table is made of all that were kept.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks.closed_loop import evaluate, kept, pair_row, row
from benchmarks.harness import Figure, write_result
from benchmarks.joining import AS_DEPLOYED, NO_PREFIX, Variant
from prana_ros.evaluation.comparison import compare
from prana_ros.evaluation.playback import Playback
from prana_ros.evaluation.result import Evaluation
from prana_ros.evaluation.run import Trials

LOCKSTEP = Playback(execute_steps=8)
JOINED = Playback(asynchronous=True, latency=0.2)
"""Chunks join best or worst while the arm moves: as in the graph, a chunk arriving 0.2 s after its observation."""
REFERENCE, REFERENCE_JOINED = "as deployed", "as deployed, joined"


@dataclass(frozen=True)
class Ablation:
    """One change, how its chunks are played, and what it is compared with."""

    changes: dict[str, object] = field(default_factory=dict)
    playback: Playback = LOCKSTEP
    reference: str = REFERENCE


ABLATIONS = {
    REFERENCE: Ablation(),
    "white noise": Ablation({"white_noise": True}),
    "one step": Ablation({"denoising_steps": 1}),
    "two steps": Ablation({"denoising_steps": 2}),
    "five steps": Ablation({"denoising_steps": 5}),
    "a fifth executed": Ablation(playback=Playback(execute_steps=3)),
    "two fifths executed": Ablation(playback=Playback(execute_steps=6)),
    "four fifths executed": Ablation(playback=Playback(execute_steps=13)),
    REFERENCE_JOINED: Ablation({"joining": AS_DEPLOYED}, JOINED, REFERENCE_JOINED),
    "no inpainting": Ablation({"joining": NO_PREFIX}, JOINED, REFERENCE_JOINED),
    "overwriting": Ablation({"joining": "overwriting"}, JOINED, REFERENCE_JOINED),
    "constant M": Ablation({"joining": "constant M"}, JOINED, REFERENCE_JOINED),
    "white noise, joined": Ablation({"white_noise": True}, JOINED, REFERENCE_JOINED),
}
"""As deployed is ten steps, correlated noise, M_t, and eight of sixteen steps executed where chunks do not overlap."""


def run(options: argparse.Namespace) -> None:
    """Evaluate what was asked for, and keep it."""
    command = shlex.join(["make", "bench-ablations", f"ARGS={shlex.join(sys.argv[1:])}"])
    for name in options.only or ABLATIONS:
        ablation = ABLATIONS[name]
        trials = Trials(
            options.scenes,
            range(options.episodes),
            playback=ablation.playback,
            worlds=options.worlds,
            processes=options.processes,
            command=command,
        )
        evaluate(Variant(name, options.checkpoint, device="cpu", **ablation.changes), trials, "ablations")


def seam_step(evaluation: Evaluation, level: float) -> float:
    """Quantile of the position steps at all seams (degrees)."""
    return math.degrees(np.quantile([step for e in evaluation.episodes for step in e.seam_steps], level))


def figures_of(evaluations: Sequence[Evaluation]) -> Iterator[Figure]:
    """Success, jerk and seams of each, and the difference from what it is compared with."""
    known = {each.name: each for each in evaluations}
    for name, ablation in ABLATIONS.items():
        if name not in known:
            continue
        each, reference = known[name], known.get(ablation.reference)
        yield Figure(f"{name}: success in {len(each.episodes)}", 100 * each.successes / len(each.episodes), "%")
        yield Figure(f"{name}: seam step, median", seam_step(each, 0.5), "deg")
        yield Figure(f"{name}: seam step, 95th percentile", seam_step(each, 0.95), "deg")
        if reference is None or reference is each:
            continue
        pair = compare(each, reference)
        yield Figure(f"{name}: success minus that as deployed", 100 * pair.success.difference.value, "points")
        if pair.jerk is not None:
            yield Figure(f"{name}: jerk relative to that as deployed", pair.jerk.value, "x")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ABLATIONS), default=[], help="(default: all)")
    parser.add_argument("--checkpoint", default="checkpoints/twin_v2", help="(default: %(default)s)")
    parser.add_argument("--scenes", default="hard", help="(default: hard)")
    parser.add_argument("--episodes", type=int, default=100, help="unseen scenes of each (default: 100)")
    parser.add_argument("--processes", type=int, default=2, help="(default: 2)")
    parser.add_argument("--worlds", type=int, default=8, help="in each process (default: 8)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run(options)
    evaluations = kept("ablations")
    known = {each.name: each for each in evaluations}
    pairs = [
        pair_row(known[name].scenes, compare(known[name], known[ablation.reference]))
        for name, ablation in ABLATIONS.items()
        if name != ablation.reference and {name, ablation.reference} <= known.keys()
    ]
    write_result("ablations", [*figures_of(evaluations)], evaluations=[row(each) for each in evaluations], pairs=pairs)


if __name__ == "__main__":
    main()
