"""One prediction of any LeRobot policy: joint angles and images in, joint angles out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.utils import populate_queues, prepare_observation_for_inference
from lerobot.processor import NormalizerProcessorStep, PolicyProcessorPipeline
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from prana_ros.inference.predictor import PolicyInput, Prediction
from prana_ros.inference.spec import PolicySpec
from prana_ros.so101.units import Calibration, Units, lerobot_to_radians, radians_to_lerobot

ROBOT_TYPE = "so_follower"
"""What LeRobot calls the arm in the datasets that it records."""


@runtime_checkable
class StagedPolicy(Protocol):
    """A policy whose prediction has two parts, the first of which depends on the observation only."""

    def encode_context(self, batch: dict[str, Any]) -> Any:
        """A preprocessed batch to whatever the second part needs of it."""

    def denoise(self, context: Any, *, prefix: torch.Tensor | None = None) -> torch.Tensor:
        """Normalised actions (B, H, A) that begin with the prefix (B, P, A)."""


@dataclass
class LoadedPolicy:
    """A policy in evaluation mode with its normalisation, on one device, speaking the robot's units.

    Not safe to share between threads: policies keep queues and the noise comes from torch's global generators.
    """

    spec: PolicySpec
    policy: PreTrainedPolicy
    preprocessor: PolicyProcessorPipeline
    postprocessor: PolicyProcessorPipeline
    device: torch.device
    image_keys: dict[str, str]
    """The policy's feature key of each camera."""
    calibration: Calibration | None = field(default=None)
    """Of the robot's arm: needed by checkpoints in units of -100 … 100."""

    @torch.inference_mode()
    def predict(
        self, history: Sequence[PolicyInput], task: str = "", prefix: np.ndarray | None = None, seed: int = 0
    ) -> Prediction:
        """Predict the actions from the time of the last observation on.

        Args:
            history: the spec's ``observation_steps`` observations, 1/fps apart, the newest last.
            task: what to do, in words, for policies that read.
            prefix: positions (P, 6) in rad that the first P actions will have, from the running plan.
            seed: of the noise; equal seeds and observations give equal predictions.

        Raises:
            ValueError: if the number of observations is wrong, an image or the state is missing or has another shape
                than the policy's feature, or a prefix is given to a policy that takes none.
        """
        self._check(history, prefix)
        started = time.perf_counter()
        batches = [self._batch(observation, task) for observation in history]
        given = None if prefix is None else self._normalized_actions(prefix)
        prepared = self._clock()
        torch.manual_seed(seed)
        actions, encoded = self._actions(batches, given)
        predicted = self._clock()
        positions = self._positions(actions)
        finished = time.perf_counter()
        return Prediction(positions, prepared - started, encoded - prepared, predicted - encoded, finished - predicted)

    @torch.inference_mode()
    def predict_batch(self, history: Sequence[dict[str, Any]], seed: int = 0) -> torch.Tensor:
        """Predict the chunks of many observations in the dataset's units, for evaluation without a robot.

        Args:
            history: as for :meth:`predict`, but each a batch of B observations as a dataset's items have them.
            seed: of the noise.

        Returns:
            Actions (B, H, A) in the units of the dataset, on the CPU.
        """
        # The pipeline adds an empty action, which some policies would take for one that was recorded.
        batches = [{k: v for k, v in self.preprocessor(dict(b)).items() if k != ACTION} for b in history]
        torch.manual_seed(seed)
        actions, _ = self._actions(batches, None)
        return self.postprocessor(actions).cpu()

    def reset(self) -> None:
        """Forget what a policy remembers of earlier observations."""
        self.policy.reset()
        self.preprocessor.reset()
        self.postprocessor.reset()

    def _check(self, history: Sequence[PolicyInput], prefix: np.ndarray | None) -> None:
        if len(history) != self.spec.observation_steps:
            raise ValueError(f"The policy takes {self.spec.observation_steps} observations, got {len(history)}.")
        if prefix is not None and not self.spec.takes_prefix:
            raise ValueError(f"A {self.spec.kind} policy cannot go on from a running plan.")
        for observation in history:
            for name, (channels, height, width) in self.spec.cameras.items():
                if name not in observation.images:
                    raise ValueError(f"The policy needs an image of camera {name!r}, which the observation lacks.")
                shape = observation.images[name].shape
                if shape != (height, width, channels):
                    raise ValueError(
                        f"Camera {name!r} gives images of {_size(shape)}; "
                        f"the policy was trained on {_size((height, width, channels))}."
                    )

    def _batch(self, observation: PolicyInput, task: str) -> dict[str, Any]:
        """The observation as the policy takes it: normalised, a batch of one, on the device."""
        frame = {key: np.ascontiguousarray(observation.images[name]) for name, key in self.image_keys.items()}
        if self.spec.state_size:
            frame[OBS_STATE] = radians_to_lerobot(observation.state, self._units, self.calibration).astype(np.float32)
        batch = self.preprocessor(prepare_observation_for_inference(frame, self.device, task, ROBOT_TYPE))
        # The pipeline adds an empty action, which some policies would take for one that was recorded.
        return {key: value for key, value in batch.items() if key != ACTION}

    def _actions(self, batches: list[dict[str, Any]], prefix: torch.Tensor | None) -> tuple[torch.Tensor, float]:
        """The policy's actions (1, H, A), normalised, and when it had encoded the observations."""
        if isinstance(self.policy, StagedPolicy):
            context = self.policy.encode_context(batches[-1])
            encoded = self._clock()
            return self.policy.denoise(context, prefix=prefix), encoded
        self._fill_queues(batches)
        given = {} if prefix is None else {"prev_chunk_left_over": prefix}
        prepared = self._clock()
        return self.policy.predict_action_chunk(batches[-1], **given), prepared

    def _fill_queues(self, batches: list[dict[str, Any]]) -> None:
        """Give a policy with a history the observations that lie 1/fps apart.

        LeRobot fills such a policy's queues one ``select_action`` at a time, which would remember when we asked.
        """
        queues = getattr(self.policy, "_queues", None) or {}
        if all(key == ACTION for key in queues):
            return
        self.policy.reset()
        for batch in batches:
            if self.image_keys:
                batch[OBS_IMAGES] = torch.stack([batch[key] for key in self.policy.config.image_features], dim=-4)
            populate_queues(self.policy._queues, batch, exclude_keys=[ACTION])

    def _normalized_actions(self, positions: np.ndarray) -> torch.Tensor:
        """Positions (P, 6) in rad as the policy's own actions (1, P, A)."""
        values = radians_to_lerobot(positions, self._units, self.calibration)
        actions = torch.as_tensor(values, dtype=torch.float32, device=self.device).unsqueeze(0)
        for step in self.preprocessor.steps:
            if isinstance(step, NormalizerProcessorStep):
                actions = step._normalize_action(actions, inverse=False)
        return actions

    def _positions(self, actions: torch.Tensor) -> np.ndarray:
        """The policy's own actions (1, H, A) as positions (H, 6) in rad."""
        values = self.postprocessor(actions)[0].to(device="cpu", dtype=torch.float64).numpy()
        return lerobot_to_radians(values, self._units, self.calibration)

    @property
    def _units(self) -> Units:
        if self.spec.units is None:
            raise ValueError("The policy's units are not known; set units.")
        return self.spec.units

    def _clock(self) -> float:
        """Wall time (s) when all that was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _size(shape: tuple[int, ...]) -> str:
    """(H, W, C) as text."""
    return "x".join(str(n) for n in (shape[1], shape[0], *shape[2:])) if len(shape) >= 2 else str(shape)
