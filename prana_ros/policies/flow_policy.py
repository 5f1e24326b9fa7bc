"""The flow-matching policy as LeRobot sees it: noise, training loss, chunk prediction."""

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any, Self

import torch
from lerobot.utils.constants import ACTION
from torch import Tensor

from prana_ros.policies import dataset_metadata
from prana_ros.policies.chunk_policy import ChunkPolicy
from prana_ros.policies.correlated_noise import CorrelatedNoise, UnfittedNoiseError, fit_noise
from prana_ros.policies.flow_config import FlowPolicyConfig
from prana_ros.policies.flow_matching import (
    euler,
    interpolate,
    masked_mse,
    sample_time,
    time_grid,
    velocity_target,
)
from prana_ros.policies.flow_network import Context, FlowNetwork
from prana_ros.policies.inpainting import PLAN_ERROR, Inpainting, inpainting_gains
from prana_ros.policies.saved_statistics import saved_action_statistics

logger = logging.getLogger(__name__)

MAX_CACHED_GAINS = 32
RESIDUAL_TIME = 0.9


class FlowPolicy(ChunkPolicy):
    """Flow matching on action chunks with correlated noise and rolling inpainting.

    A fresh policy fits its noise to the training dataset at once. A loaded one keeps its noise, unless it is trained
    on a dataset with other statistics: then it refits before the first step.
    """

    config_class = FlowPolicyConfig
    name = "flow"
    network: FlowNetwork
    inpainting_gains = staticmethod(inpainting_gains)
    """What makes M_t; benchmarks put other ways of joining chunks in its place."""

    def _build(self, *, pretrained_backbone: bool) -> None:
        self.network = FlowNetwork(self.config, pretrained_backbone=pretrained_backbone)
        self.noise = CorrelatedNoise(self.config.chunk_size, self.config.action_dim)
        self._noise_mismatch = False
        self._gains: OrderedDict[tuple[int, float, int], Tensor] = OrderedDict()

    # Checkpoints

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: str | Path, **kwargs: Any) -> Self:
        """As LeRobot's, without downloading a backbone. Warns where the noise does not fit the processors beside it."""
        policy = super().from_pretrained(pretrained_name_or_path, **kwargs)
        folder = Path(pretrained_name_or_path)
        if folder.is_dir():
            statistics = saved_action_statistics(folder)
            policy._noise_mismatch = statistics is not None and not policy.noise.fitted_under(statistics)
        if problem := policy.noise_problem():
            logger.warning("%s", problem)
        return policy

    # Training

    def _fit_to_dataset(self, dataset_meta: Any) -> None:
        """Take over the dataset's facts; fit the noise unless it was fitted under the same statistics."""
        super()._fit_to_dataset(dataset_meta)
        statistics = dataset_metadata.action_statistics(dataset_meta)
        if self.noise.fitted_under(statistics):
            return
        episodes = dataset_metadata.normalized_action_episodes(dataset_meta, statistics)
        fit = fit_noise(episodes, self.config.chunk_size, self.config.noise_beta)
        self.noise.set_fit(fit, statistics)
        self._noise_mismatch = False
        self._gains.clear()
        logger.info("noise fitted to %d chunks, shrinkage %.3g", fit.num_chunks, fit.shrinkage)

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Flow-matching loss."""
        context = self.network.encode(batch)
        draws = self.config.flow_samples_per_context
        action = batch[ACTION].repeat_interleave(draws, dim=0)
        is_pad = batch.get(f"{ACTION}_is_pad")
        if is_pad is not None:
            is_pad = is_pad.repeat_interleave(draws, dim=0)
        noise = self.noise.sample(action.shape[0])
        t = sample_time((action.shape[0],), action.device)
        x_t = interpolate(action, noise, t[:, None, None])
        velocity = self.network.velocity(context, x_t, t, is_pad)
        target = velocity_target(action, noise)
        if self.training:
            self._learn_covariance(velocity - target, t, is_pad)
        loss = masked_mse(velocity, target, is_pad)
        return loss, {"flow_loss": loss.item()}

    def _learn_covariance(self, velocity_error: Tensor, t: Tensor, is_pad: Tensor | None) -> None:
        """From draws near t = 1: the action minus its prediction, a − (x_t − t·v), is t·(v − (ε − a))."""
        nearly_noise = t > RESIDUAL_TIME
        if is_pad is not None:
            nearly_noise &= ~is_pad.any(dim=1)
        self.noise.learn_covariance((t[:, None, None] * velocity_error)[nearly_noise].detach())
        self._gains.clear()

    # Prediction

    def supports_rtc(self) -> bool:
        """Whether ``predict_action_chunk`` continues a running chunk; LeRobot 0.6's drivers ask."""
        return True

    def noise_problem(self) -> str | None:
        """One sentence if the noise does not belong to this checkpoint's normalization, else None."""
        if not self.noise.is_fitted:
            return f"{self.name}: noise_is_fitted is false; fit the noise with training/fit_noise.py before deployment"
        if self._noise_mismatch:
            return (
                f"{self.name}: the noise was fitted under other normalization statistics than this checkpoint's "
                "processors have; refit it with training/fit_noise.py before deployment"
            )
        return None

    @torch.no_grad()
    def encode_context(self, batch: dict[str, Tensor]) -> Context:
        """The part of an inference that depends on the observations only: preprocessed batch of B to context."""
        self._check_observations(batch)
        return self.network.encode(batch)

    @torch.no_grad()
    def denoise(self, context: Context, *, noise: Tensor | None = None, prefix: Tensor | None = None) -> Tensor:
        """The other part: a normalized action chunk (B, H, A) for each context.

        Args:
            noise: initial noise (B, H, A), as :meth:`CorrelatedNoise.sample` gives it; drawn when None. The
                configuration's ``noise_scale`` comes on top.
            prefix: the first P actions of the chunk, normalized (B, P, A); they come back exactly, and the rest
                continues them.
        """
        steps, shift = self.config.num_inference_steps, self.config.time_grid_shift
        grid = time_grid(steps, shift)
        if noise is None:
            noise = self.noise.sample(context.batch_size)
        noise = self.config.noise_scale * noise
        correct = None
        if prefix is not None:
            gains = self._inpainting_gains(steps, shift, prefix.shape[1] * prefix.shape[2])
            correct = Inpainting(prefix, noise, grid[1:], gains)
        return euler(lambda x, t: self.network.velocity(context, x, t), noise, grid, correct)

    def _inpainting_gains(self, steps: int, shift: float, given: int) -> Tensor:
        """M_t of each step, computed once per grid and prefix length."""
        key = (steps, shift, given)
        if key not in self._gains:
            times = time_grid(steps, shift)[1:]
            correlation, covariance = self.noise.correlation(), self.noise.covariance
            error = PLAN_ERROR * covariance
            self._gains[key] = self.inpainting_gains(correlation, covariance, times, given, error=error)
            if len(self._gains) > MAX_CACHED_GAINS:
                self._gains.popitem(last=False)
        return self._gains[key]

    def _prefix(
        self, left_over: Tensor | None, inference_delay: int | None, execution_horizon: int | None, batch_size: int
    ) -> Tensor | None:
        if left_over is None:
            return None
        left_over = left_over if left_over.ndim == 3 else left_over[None]
        if left_over.shape[-1] != self.config.action_dim or left_over.shape[0] not in (1, batch_size):
            raise ValueError(
                f"prev_chunk_left_over has shape {tuple(left_over.shape)}; "
                f"allowed: (steps, {self.config.action_dim}) or ({batch_size}, steps, {self.config.action_dim})"
            )
        limits = [left_over.shape[1], self.config.chunk_size]
        limits += [limit for limit in (inference_delay, execution_horizon) if limit is not None]
        length = min(limits)
        if length < 0:
            raise ValueError(f"inference_delay and execution_horizon must not be negative, got {length}")
        prefix = left_over[:, :length]
        if not torch.isfinite(prefix).all():
            raise ValueError("prev_chunk_left_over has an entry that is not finite")
        return prefix.expand(batch_size, -1, -1) if length else None

    @torch.no_grad()
    def predict_action_chunk(
        self,
        batch: dict[str, Tensor],
        *,
        noise: Tensor | None = None,
        inference_delay: int | None = None,
        prev_chunk_left_over: Tensor | None = None,
        execution_horizon: int | None = None,
    ) -> Tensor:
        """Predict a normalized action chunk (B, H, A), optionally continuing the running one.

        The arguments are those of LeRobot's real-time chunking, with hard inpainting instead of soft guidance.

        Args:
            batch: preprocessed observations.
            noise: initial noise (B, H, A); drawn when None.
            prev_chunk_left_over: (P, A) or (B, P, A), normalized: the running chunk from this chunk's first step on.
                Its first entries come back exactly.
            inference_delay: how many of those entries are held; all of them when None.
            execution_horizon: entries from this step on are never held.

        Raises:
            UnfittedNoiseError: if the noise does not fit and ``allow_unfitted_noise`` is not set.
            ValueError: for a missing input or a malformed left-over.
        """
        self.eval()
        problem = self.noise_problem()
        if problem and not self.config.allow_unfitted_noise:
            raise UnfittedNoiseError(f"{problem}, or set allow_unfitted_noise")
        context = self.encode_context(batch)
        prefix = self._prefix(prev_chunk_left_over, inference_delay, execution_horizon, context.batch_size)
        return self.denoise(context, noise=noise, prefix=prefix)
