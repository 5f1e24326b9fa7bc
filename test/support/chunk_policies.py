"""Policies by formula for the lock-step evaluation; in a module, so that its processes can import them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from prana_ros.evaluation.rollout import noise_seed
from prana_ros.inference.predictor import Prediction, Request
from prana_ros.inference.spec import PolicySpec
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import STANDARD, sample_scene
from prana_ros.so101.model import REST_POSE
from support.predictors import spec

HEIGHT, WIDTH = 36, 48


def small_spec(chunk_size: int = 16, observation_steps: int = 1, takes_prefix: bool = False) -> PolicySpec:
    """Two small images of the twin's cameras, ten times a second."""
    made = spec(chunk_size, cameras=("table", "wrist"), takes_prefix=takes_prefix)
    cameras = dict.fromkeys(made.cameras, (3, HEIGHT, WIDTH))
    return replace(made, cameras=cameras, observation_steps=observation_steps)


class FormulaPolicy:
    """Chunks by a formula of the scene's seed, the number of the chunk and the request."""

    calibration = None

    def __init__(self, policy_spec: PolicySpec, seeds: Sequence[int], formula: Callable[..., np.ndarray]) -> None:
        self.spec = policy_spec
        self._seeds, self._formula = seeds, formula
        self.batches: list[list[tuple[int, int]]] = []
        """Seed of the scene and number of the chunk, of all requests of each call."""
        self.requests: dict[tuple[int, int], Request] = {}

    def predict_many(self, requests: Sequence[Request]) -> list[Prediction]:
        whose = [self._whose(request) for request in requests]
        self.batches.append(whose)
        self.requests |= zip(whose, requests, strict=True)
        return [
            Prediction(self._formula(*which, request), 0, 0, 0, 0)
            for which, request in zip(whose, requests, strict=True)
        ]

    def reset(self) -> None:
        pass

    def _whose(self, request: Request) -> tuple[int, int]:
        """By the noise's seed, which each episode counts up from its own."""
        return next(
            (seed, request.seed - noise_seed(seed))
            for seed in self._seeds
            if 0 <= request.seed - noise_seed(seed) < 1000
        )


def stays_home(*_: object) -> np.ndarray:
    return np.tile(REST_POSE, (16, 1))


def homebody() -> FormulaPolicy:
    """Never moves."""
    return FormulaPolicy(small_spec(), range(100), stays_home)


def scripted(seeds: Sequence[int], seconds: float, horizon: int = 16, **changes: object) -> FormulaPolicy:
    """The expert, whose every chunk begins ``seconds`` after the one before."""
    experts = {seed: Expert(sample_scene(STANDARD, seed)) for seed in seeds}

    def chunk(seed: int, number: int, _: Request) -> np.ndarray:
        return np.array([experts[seed].target(number * seconds + step / 10) for step in range(horizon)])

    return FormulaPolicy(small_spec(horizon, **changes), seeds, chunk)


def two_experts() -> FormulaPolicy:
    """For the scenes 1 to 4, eight steps a chunk."""
    return scripted(range(1, 5), 0.8)
