"""How chunks join: second differences at the seam, on Gaussian chunks and with the demo's policy on the twin.

The Gaussian toy is exact (benchmarks/toys/gaussian.py): no sampling, only the matrices of the real sampler. On the twin
the policy continues its own running chunk in lock-step: every ``executed`` steps it observes and predicts anew, and the
next ``held`` steps of the running chunk are given, as if the inference took that long.
"""

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.harness import Figure, at_most, write_result
from benchmarks.toys.gaussian import METHODS, Continuation, matern_covariance
from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.prediction import LoadedPolicy, PolicyInput
from prana_ros.policies import flow_policy
from prana_ros.policies.inpainting import PLAN_ERROR, inpainting_gains
from prana_ros.simulation.lockstep import Observed, run_lockstep
from prana_ros.simulation.scene import scene_distribution

TOYS = {"length 6": (6.0, 2.5), "length 12": (12.0, 2.5), "length 6, rougher": (6.0, 1.5)}
"""Correlation length in steps and smoothness of chunks of 24 steps of 2 joints, of which 6 steps are given."""
VELOCITY_ERRORS = (0.0, 0.1, 0.3)
DISTORTIONS = 3
SCHEDULES = ((1, 2), (4, 3), (1, 4), (10, 4))
"""Steps executed before the next inference, steps held."""


def _without_error(*arguments: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    return inpainting_gains(*arguments)


def _with_error(relative: float, *arguments: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    return inpainting_gains(*arguments, error=relative / PLAN_ERROR * error)


def _no_gains(*arguments: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(inpainting_gains(*arguments))


TWIN_METHODS: dict[str, Callable[..., torch.Tensor] | None] = {
    "as deployed": inpainting_gains,
    "M_t with E = C": functools.partial(_with_error, 1.0),
    "M_t with E = C/10": functools.partial(_with_error, 0.1),
    "M_t without E": _without_error,
    "overwriting": _no_gains,
    "no prefix": None,
}
"""What computes the gains; None: the policy is given no prefix, the held steps are put in front of its chunk."""


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
    """A policy in lock-step that continues its own running chunk, and notes how rough the seams are."""

    def __init__(self, policy: LoadedPolicy, executed: int, held: int, *, gives_prefix: bool) -> None:
        self._policy, self._executed, self._held, self._gives_prefix = policy, executed, held, gives_prefix
        self._seed = 0
        self._running: np.ndarray | None = None
        self.seams: list[np.ndarray] = []
        """Squared second differences (2, 6) across each seam."""
        self.within: list[np.ndarray] = []
        """Squared second differences (…, 6) of each chunk's own steps."""

    def start(self) -> None:
        """A new episode."""
        self._running = None

    def __call__(self, history: Sequence[Observed]) -> np.ndarray:
        """Joint positions (H, 6) in rad, of which the held steps are the running chunk's."""
        self._seed += 1
        inputs = [PolicyInput(seen.state, seen.images) for seen in history]
        predict = functools.partial(self._policy.predict, inputs, seed=self._seed)
        if self._running is None:
            self._running = predict().positions
            return self._running
        last, prefix = np.split(self._running[self._executed - 1 : self._executed + self._held], [1])
        chunk = predict(prefix=prefix if self._gives_prefix else None).positions
        chunk = np.concatenate([prefix, chunk[self._held :]])
        second = np.square(np.diff(np.concatenate([last, chunk]), n=2, axis=0))
        self.seams.append(second[self._held - 1 : self._held + 1])
        self.within.append(second[self._held + 1 :])
        self._running = chunk
        return chunk

    def roughness(self) -> float:
        """Second difference at the seams over that within chunks: root mean square over all joints, in rad."""
        seam, within = (np.concatenate(parts).mean() for parts in (self.seams, self.within))
        return float(np.sqrt(seam / within))


def drive(checkpoint: str, method: str, executed: int, held: int, episodes: int) -> tuple[float, float]:
    """Share of episodes that succeeded, and the relative roughness of the seams."""
    loaded = load_policy(checkpoint, "cpu")
    gains = TWIN_METHODS[method]
    policy = ContinuingPolicy(loaded, executed, held, gives_prefix=gains is not None)
    _, height, width = next(iter(loaded.spec.cameras.values()))
    runs = run_lockstep(
        policy,
        range(episodes),
        scene_distribution("standard"),
        fps=int(loaded.spec.fps or 0),
        execute_steps=executed,
        camera_size=(width, height),
    )
    successes = 0
    with mock.patch.object(flow_policy, "inpainting_gains", gains):
        for outcome in runs:
            successes += outcome.outcome == "success"
            policy.start()
    return successes / episodes, policy.roughness()


def twin_figures(checkpoint: str, episodes: int) -> Iterator[Figure]:
    """Seams and success of every method and schedule."""
    for executed, held in tqdm(SCHEDULES, unit="schedule"):
        for method in TWIN_METHODS:
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
