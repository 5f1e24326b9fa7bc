"""Predictions of any LeRobot policy, one or many at once: joint angles and images in, joint angles out."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.utils import populate_queues
from lerobot.processor import NormalizerProcessorStep, PolicyProcessorPipeline
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from prana_ros.inference.predictor import PolicyInput, Prediction, Request
from prana_ros.inference.spec import PolicySpec
from prana_ros.policies.chunk_policy import ChunkPolicy
from prana_ros.policies.flow_policy import FlowPolicy
from prana_ros.so101.units import Calibration, Units, lerobot_to_radians, radians_to_lerobot

ROBOT_TYPE = "so_follower"
"""What LeRobot calls the arm in the datasets that it records."""


BATCHED_KINDS = ("act", "diffusion")
"""LeRobot's own policies whose batches are known to be what its members would be alone (tested). Others predict one by
one: some transpose their batches, some take none."""


@dataclass
class LoadedPolicy:
    """A policy in evaluation mode with its normalization, on one device, speaking the robot's units.

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

    def predict(
        self, history: Sequence[PolicyInput], task: str = "", prefix: np.ndarray | None = None, seed: int = 0
    ) -> Prediction:
        """Predict the actions from the time of the last observation on: a batch of one of :meth:`predict_many`.

        Args:
            history: the spec's ``observation_steps`` observations, 1/fps apart, the newest last.
            task: what to do, in words, for policies that read.
            prefix: positions (P, 6) in rad that the first P actions will have, from the running plan.
            seed: of the noise; equal seeds and observations give equal predictions.

        Raises:
            ValueError: if the number of observations is wrong, an image or the state is missing or has another shape
                than the policy's feature, or a prefix is given to a policy that takes none.
        """
        return self.predict_many([Request(history, task, prefix, seed)])[0]

    @torch.inference_mode()
    def predict_many(self, requests: Sequence[Request]) -> list[Prediction]:
        """Predict a chunk for each request, in one forward pass for all whose prefixes have the same length.

        Each noise of PRANA's flow policies comes from its own request's seed, so that predictions are, but for
        rounding, what they would be alone. Other policies draw the noise of a pass from its first request's seed.
        A prediction's times are those of its pass.

        Raises:
            ValueError: as for :meth:`predict`.
        """
        for request in requests:
            self._check(request)
        predictions: dict[int, Prediction] = {}
        for indices in self._passes(requests):
            predictions |= zip(indices, self._predict_pass([requests[index] for index in indices]), strict=True)
        return [predictions[index] for index in range(len(requests))]

    @torch.inference_mode()
    def predict_batch(self, history: Sequence[dict[str, Any]], seed: int = 0) -> torch.Tensor:
        """Predict the chunks of many observations in the dataset's units, for evaluation without a robot.

        Args:
            history: as for :meth:`predict`, but each a batch of B observations as a dataset's items have them.
            seed: of the noise.

        Returns:
            Actions (B, H, A) in the units of the dataset, on the CPU.
        """
        batches = [self._preprocessed(dict(batch)) for batch in history]
        torch.manual_seed(seed)
        actions, _ = self._actions(batches, None, None)
        return self.postprocessor(actions).cpu()

    def reset(self) -> None:
        """Forget what a policy remembers of earlier observations."""
        self.policy.reset()
        self.preprocessor.reset()
        self.postprocessor.reset()

    def _passes(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Indices of the requests that go through the policy together."""
        if not (isinstance(self.policy, ChunkPolicy) or self.spec.kind in BATCHED_KINDS):
            yield from ([index] for index in range(len(requests)))
            return

        def prefix_length(index: int) -> int:
            prefix = requests[index].prefix
            return 0 if prefix is None else len(prefix)

        for _, indices in groupby(sorted(range(len(requests)), key=prefix_length), key=prefix_length):
            yield list(indices)

    def _predict_pass(self, requests: Sequence[Request]) -> list[Prediction]:
        started = time.perf_counter()
        tasks = [request.task for request in requests]
        batches = [
            self._batch(moment, tasks) for moment in zip(*(request.history for request in requests), strict=True)
        ]
        prefixes = [request.prefix for request in requests if request.prefix is not None]
        given = self._normalized_actions(np.stack(prefixes)) if prefixes else None
        prepared = self._clock()
        noise = self._noise([request.seed for request in requests])
        actions, encoded = self._actions(batches, given, noise)
        predicted = self._clock()
        positions = self._positions(actions)
        finished = time.perf_counter()
        times = prepared - started, encoded - prepared, predicted - encoded, finished - predicted
        return [Prediction(chunk, *times) for chunk in positions]

    def _check(self, request: Request) -> None:
        if len(request.history) != self.spec.observation_steps:
            raise ValueError(
                f"The policy takes {self.spec.observation_steps} observations, got {len(request.history)}."
            )
        if request.prefix is not None and not self.spec.takes_prefix:
            raise ValueError(f"A {self.spec.kind} policy cannot go on from a running plan.")
        for observation in request.history:
            for name, (channels, height, width) in self.spec.cameras.items():
                if name not in observation.images:
                    raise ValueError(f"The policy needs an image of camera {name!r}, which the observation lacks.")
                if sentence := size_complaint(name, observation.images[name].shape, (height, width, channels)):
                    raise ValueError(sentence)

    def _batch(self, observations: Sequence[PolicyInput], tasks: list[str]) -> dict[str, Any]:
        """Observations of one moment as the policy takes them: normalized, a batch of B, on the device."""
        # As LeRobot's prepare_observation_for_inference, which makes batches of one.
        frame: dict[str, Any] = {"task": tasks, "robot_type": ROBOT_TYPE}
        for name, key in self.image_keys.items():
            images = torch.from_numpy(np.stack([observation.images[name] for observation in observations]))
            frame[key] = images.to(self.device).permute(0, 3, 1, 2).contiguous().float() / 255
        if self.spec.state_size:
            states = np.stack([observation.state for observation in observations])
            values = radians_to_lerobot(states, self._units, self.calibration).astype(np.float32)
            frame[OBS_STATE] = torch.from_numpy(values).to(self.device)
        return self._preprocessed(frame)

    def _preprocessed(self, frame: dict[str, Any]) -> dict[str, Any]:
        # The pipeline adds an empty action, which some policies would take for one that was recorded.
        return {key: value for key, value in self.preprocessor(frame).items() if key != ACTION}

    def _noise(self, seeds: Sequence[int]) -> torch.Tensor | None:
        """Noise (B, H, A), each chunk's from its own seed; ``None`` for policies that draw theirs by themselves."""
        if not isinstance(self.policy, FlowPolicy):
            torch.manual_seed(seeds[0])
            return None
        noise = self.policy.noise
        return torch.cat([noise.sample(1, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    def _actions(
        self, batches: list[dict[str, Any]], prefix: torch.Tensor | None, noise: torch.Tensor | None
    ) -> tuple[torch.Tensor, float]:
        """The policy's actions (B, H, A), normalized, and when it had encoded the observations."""
        if isinstance(self.policy, FlowPolicy):
            context = self.policy.encode_context(batches[-1])
            encoded = self._clock()
            return self.policy.denoise(context, noise=noise, prefix=prefix), encoded
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
        """Positions (B, P, 6) in rad as the policy's own actions (B, P, A)."""
        values = radians_to_lerobot(positions, self._units, self.calibration)
        actions = torch.as_tensor(values, dtype=torch.float32, device=self.device)
        for step in self.preprocessor.steps:
            if isinstance(step, NormalizerProcessorStep):
                actions = step._normalize_action(actions, inverse=False)
        return actions

    def _positions(self, actions: torch.Tensor) -> np.ndarray:
        """The policy's own actions (B, H, A) as positions (B, H, 6) in rad."""
        values = self.postprocessor(actions).to(device="cpu", dtype=torch.float64).numpy()
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


def size_complaint(camera: str, shape: tuple[int, ...], trained: tuple[int, int, int]) -> str:
    """Why images of ``shape`` are none for a policy trained on another, both (H, W, C); empty if they are."""
    if shape == trained:
        return ""
    return f"Camera {camera!r} gives images of {_size(shape)}; the policy was trained on {_size(trained)}."


def _size(shape: tuple[int, ...]) -> str:
    """(H, W, C) as text."""
    return "x".join(str(n) for n in (shape[1], shape[0], *shape[2:])) if len(shape) >= 2 else str(shape)
