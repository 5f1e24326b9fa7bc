"""What the engine asks of a policy: joint angles and images in, joint angles out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from prana_ros.inference.spec import PolicySpec
from prana_ros.so101.units import Calibration


@dataclass(frozen=True)
class PolicyInput:
    """What the robot perceives at one time: joint state (6,) in rad, images (H, W, 3) uint8 rgb by camera name."""

    state: np.ndarray
    images: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Request:
    """What a policy is asked for one chunk.

    Attributes:
        history: observations 1/fps apart, the newest last.
        task: what to do, in words, for policies that read.
        prefix: positions (P, 6) in rad that the first P actions will have, from the running plan.
        seed: of the noise.
    """

    history: Sequence[PolicyInput]
    task: str = ""
    prefix: np.ndarray | None = None
    seed: int = 0


@dataclass(frozen=True)
class Prediction:
    """Joint positions (H, 6) in rad, the first at the time of the observation, and the wall time of each stage (s)."""

    positions: np.ndarray
    preprocess_time: float
    context_time: float
    """Images and state to context; 0 where the policy does not tell it from the rest."""
    denoise_time: float
    postprocess_time: float


class Predictor(Protocol):
    """A policy ready to predict; see ``prediction.LoadedPolicy``."""

    spec: PolicySpec
    calibration: Calibration | None

    def predict(
        self, history: Sequence[PolicyInput], task: str = "", prefix: np.ndarray | None = None, seed: int = 0
    ) -> Prediction:
        """Actions from the time of the last observation on; the first ones are ``prefix`` (P, 6) in rad."""

    def reset(self) -> None:
        """Forget earlier observations."""
