"""How chunks join: second differences at the seam, on Gaussian chunks and with the demo's policy on the twin.

The Gaussian toy is exact (benchmarks/toys/gaussian.py): no sampling, only the matrices of the real sampler. On the twin
the policy continues its own running chunk in lock-step: every ``executed`` steps it observes and predicts anew, and the
next ``held`` steps of the running chunk are given, as if the inference took that long.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.harness import Figure, at_most, write_result
from benchmarks.inpainting_variants import JOINING, Variant
from benchmarks.toys.gaussian import METHODS, Continuation, matern_covariance
from prana_ros.evaluation.lockstep import run_lockstep
from prana_ros.evaluation.playback import Playback
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.inference.predictor import Prediction, Request
from prana_ros.simulation.scene import STANDARD

TOYS = {"length 6": (6.0, 2.5), "length 12": (12.0, 2.5), "length 6, rougher": (6.0, 1.5)}
"""Correlation length in steps and smoothness of chunks of 24 steps of 2 joints, of which 6 steps are given."""
VELOCITY_ERRORS = (0.0, 0.1, 0.3)
DISTORTIONS = 3
SCHEDULES = ((1, 2), (4, 3), (1, 4), (10, 4))
"""Steps executed before the next inference, steps held."""


def toy_figures() -> Iterator[Figure]:
    """Seam, bias and spread on each toy, for each method and velocity error."""
    for name, (length, smoothness) in TOYS.items():
        toy = Continuation(matern_covariance(24, 2, length, smoothness), steps=24, joints=2, prefix=6)
        for method in METHODS:
            for error in VELOCITY_ERRORS:
                seams = [toy.sampler(method, error, seed=seed).seam() for seed in range(DISTORTIONS if error else 1)]
                title = f"toy {name}, {method}, velocity error {error:.0%}: seam"
                limited = method == "regression" and error <= 0.1
                yield (at_most(title, max(seams), "x", 1.4) if limited else Figure(title, max(seams), "x"))
        exact = toy.sampler("regression")
        yield at_most(f"toy {name}, regression: bias of the mean", float(exact.mean_bias().max()), "std", 0.05)
        yield Figure(f"toy {name}, regression: conditional spread", exact.spread(), "x")


class ContinuingPolicy:
    """A policy in one world that continues its own running chunk, and notes how rough the seams are.

    Where it takes no prefix, the held steps are put in front of its chunk.
    """

    def __init__(self, policy: LoadedPolicy, executed: int, held: int) -> None:
        self.spec = policy.spec
        self._policy, self._executed, self._held = policy, executed, held
        self._running: np.ndarray | None = None
        self.seams: list[np.ndarray] = []
        """Squared second differences (2, 6) across each seam."""
        self.within: list[np.ndarray] = []
        """Squared second differences (…, 6) of each chunk's own steps."""

    def reset(self) -> None:
        """A new episode."""
        self._running = None

    def predict_many(self, requests: Sequence[Request]) -> list[Prediction]:
        """One chunk, of which the held steps are the running chunk's."""
        (request,) = requests
        if self._running is None:
            (prediction,) = self._policy.predict_many([request])
            self._running = prediction.positions
            return [prediction]
        last, prefix = np.split(self._running[self._executed - 1 : self._executed + self._held], [1])
        given = prefix if self.spec.takes_prefix else None
        (prediction,) = self._policy.predict_many([replace(request, prefix=given)])
        chunk = np.concatenate([prefix, prediction.positions[self._held :]])
        second = np.square(np.diff(np.concatenate([last, chunk]), n=2, axis=0))
        self.seams.append(second[self._held - 1 : self._held + 1])
        self.within.append(second[self._held + 1 :])
        self._running = chunk
        return [replace(prediction, positions=chunk)]

    def roughness(self) -> float:
        """Second difference at the seams over that within chunks: root mean square over all joints, in rad."""
        seam, within = (np.concatenate(parts).mean() for parts in (self.seams, self.within))
        return float(np.sqrt(seam / within))


def drive(checkpoint: str, method: str, executed: int, held: int, episodes: int) -> tuple[float, float]:
    """Share of episodes that succeeded, and the relative roughness of the seams."""
    policy = ContinuingPolicy(Variant(method, checkpoint, "cpu", joining=method).load(), executed, held)
    runs = run_lockstep(lambda: policy, range(episodes), STANDARD, Playback(executed), worlds=1)
    return sum(episode.success for episode in runs) / episodes, policy.roughness()


def twin_figures(checkpoint: str, episodes: int) -> Iterator[Figure]:
    """Seams and success of every method and schedule."""
    for executed, held in tqdm(SCHEDULES, unit="schedule"):
        for method in JOINING:
            success, roughness = drive(checkpoint, method, executed, held, episodes)
            title = f"twin, {executed} executed, {held} held, {method}"
            yield Figure(f"{title}: seam", roughness, "x")
            yield Figure(f"{title}: success", success, "of 1")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="checkpoints/twin_v2")
    parser.add_argument("--episodes", type=int, default=4, help="of each method and schedule (default: 4)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = [*toy_figures(), *twin_figures(options.checkpoint, options.episodes)]
    write_result("seams", figures, episodes=options.episodes, checkpoint=options.checkpoint)


if __name__ == "__main__":
    main()
