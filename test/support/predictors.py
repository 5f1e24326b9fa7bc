"""Policies by formula, for tests of what goes on around a policy; real ones are in `checkpoints`."""

from collections.abc import Callable, Sequence

import numpy as np

from prana_ros.inference.predictor import PolicyInput, Prediction
from prana_ros.inference.spec import PolicySpec, StateRange
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import Units


def spec(chunk_size: int = 16, fps: float = 10.0, cameras: Sequence[str] = (), takes_prefix: bool = True) -> PolicySpec:
    return PolicySpec(
        kind="formula",
        joint_names=JOINT_NAMES,
        units=Units.DEGREES,
        fps=fps,
        cameras=dict.fromkeys(cameras, (3, 4, 4)),
        other_inputs=(),
        state_size=6,
        action_size=6,
        chunk_size=chunk_size,
        observation_steps=1,
        denoising_steps=0,
        takes_prefix=takes_prefix,
        state_range=StateRange(np.full(6, -90.0), np.full(6, 90.0)),
        noise_problem=None,
        calibration_fingerprint=None,
    )


class RandomWalk:
    """Chunks that go on from the prefix, or from the state, by random steps; `during` is called while it predicts."""

    calibration = None

    def __init__(self, policy_spec: PolicySpec, during: Callable[[], None] = lambda: None) -> None:
        self.spec = policy_spec
        self.during = during
        self.prefixes: list[np.ndarray | None] = []
        self.tasks: list[str] = []
        self.resets = 0
        self.spoil: Callable[[np.ndarray], np.ndarray] = lambda positions: positions

    def predict(
        self, history: Sequence[PolicyInput], task: str = "", prefix: np.ndarray | None = None, seed: int = 0
    ) -> Prediction:
        self.during()
        self.prefixes.append(prefix)
        self.tasks.append(task)
        steps = np.random.default_rng(seed).normal(0.0, 0.05, (self.spec.chunk_size, 6))
        given = np.empty((0, 6)) if prefix is None else prefix
        last = history[-1].state if prefix is None else prefix[-1]
        positions = np.concatenate([given, last + np.cumsum(steps[len(given) :], axis=0)])
        return Prediction(self.spoil(positions), 0.001, 0.002, 0.003, 0.001)

    def reset(self) -> None:
        self.resets += 1
