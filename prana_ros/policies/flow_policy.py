"""The flow-matching policy as LeRobot sees it: training loss, chunk prediction, checkpoints."""

import logging
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_STATE
from safetensors.torch import load_file, save_file
from torch import Tensor

from prana_ros.policies import dataset_facts
from prana_ros.policies.averaging import WeightAverage
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
from prana_ros.policies.inpainting import Inpainting, inpainting_gains
from prana_ros.policies.saved_statistics import saved_action_statistics

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "model.safetensors"
TRAINING_WEIGHTS_FILE = "training_weights.safetensors"
MAX_CACHED_GAINS = 32
RESIDUAL_TIME = 0.9


class FlowPolicy(PreTrainedPolicy):
    """Flow matching on action chunks with correlated noise and rolling inpainting.

    A fresh policy fits its noise to the training dataset at once. A loaded one keeps its noise, unless it is trained
    on a dataset with other statistics: then it refits before the first step. A checkpoint's ``model.safetensors``
    holds the averaged weights; the raw ones lie beside it in ``training_weights.safetensors``, and training that
    starts from such a checkpoint goes on with them.
    """

    config_class = FlowPolicyConfig
    name = "flow"

    def __init__(
        self,
        config: FlowPolicyConfig,
        *,
        dataset_meta: Any | None = None,
        loads_weights: bool = False,
        **kwargs: Any,
    ):
        """
        Args:
            config: with the features filled in, as LeRobot's ``make_policy`` does.
            dataset_meta: the training dataset's metadata, for the noise and the checkpoint gate's facts.
            loads_weights: the caller is about to load a checkpoint, so nothing is downloaded or fitted now.
            kwargs: what else LeRobot hands to every policy; unused.
        """
        super().__init__(config)
        config.validate_features()
        self.network = FlowNetwork(config, pretrained_backbone=config.pretrained_backbone and not loads_weights)
        self.noise = CorrelatedNoise(config.chunk_size, config.action_dim)
        self._average = WeightAverage(config.ema_decay)
        self._dataset_meta = dataset_meta
        self._raw_weights: dict[str, Tensor] | None = None
        self._noise_mismatch = False
        self._training_prepared = False
        self._gains: OrderedDict[tuple[int, float, int], Tensor] = OrderedDict()
        if dataset_meta is not None and not loads_weights:
            self._fit_to_dataset(dataset_meta)
        self.reset()

    # Checkpoints

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: str | Path, **kwargs: Any) -> "FlowPolicy":
        """As LeRobot's, without downloading a backbone. Warns where the noise does not fit the processors beside it."""
        policy = super().from_pretrained(pretrained_name_or_path, loads_weights=True, **kwargs)
        folder = Path(pretrained_name_or_path)
        if folder.is_dir():
            if (folder / TRAINING_WEIGHTS_FILE).is_file():
                policy._raw_weights = load_file(folder / TRAINING_WEIGHTS_FILE)
            statistics = saved_action_statistics(folder)
            policy._noise_mismatch = statistics is not None and not policy.noise.fitted_under(statistics)
        if problem := policy.noise_problem():
            logger.warning("%s", problem)
        return policy

    def _save_pretrained(self, save_directory: Path) -> None:
        self.config._save_pretrained(save_directory)
        deployed = {k: v.contiguous() for k, v in self._average.averaged(self.state_dict()).items()}
        save_file(deployed, save_directory / WEIGHTS_FILE, metadata={"format": "pt"})
        if self._average.num_updates:
            save_file(self._average.raw_state(self), save_directory / TRAINING_WEIGHTS_FILE, metadata={"format": "pt"})

    # Training

    def _fit_to_dataset(self, dataset_meta: Any) -> None:
        """Fit the noise to the dataset and take over what the checkpoint gate will ask for."""
        config = self.config
        statistics = dataset_facts.action_statistics(dataset_meta)
        episodes = dataset_facts.normalised_action_episodes(dataset_meta, statistics)
        fit = fit_noise(episodes, config.chunk_size, config.noise_beta)
        self.noise.set_fit(fit, statistics)
        self._noise_mismatch = False
        self._gains.clear()
        config.joint_names = dataset_facts.joint_names(dataset_meta)
        config.fps = int(dataset_meta.fps)
        config.state_min, config.state_max = dataset_facts.state_range(dataset_meta)
        logger.info("noise fitted to %d chunks, shrinkage %.3g", fit.num_chunks, fit.shrinkage)

    def _prepare_training(self) -> None:
        """Before the first step of a loaded policy: other statistics refit the noise, raw weights come back."""
        self._training_prepared = True
        meta = self._dataset_meta
        if meta is not None and not self.noise.fitted_under(dataset_facts.action_statistics(meta)):
            self._fit_to_dataset(meta)
        if self._raw_weights is not None:
            self._average.resume(self, self._raw_weights)
            self._raw_weights = None

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Flow-matching loss of a batch of observations and normalised action chunks (B, H, A)."""
        if self.training and not self._training_prepared:
            self._prepare_training()
        self._check_observations(batch)
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

    def update(self) -> None:
        """Take the weights into the average; LeRobot's trainer calls this after each optimiser step."""
        self._average.update(self)

    def get_optim_params(self) -> list[dict[str, Any]]:
        """Trained parameters; a trained backbone learns slower by ``optimizer_backbone_lr_factor``."""
        backbone = [p for p in self.network.vision.backbones.parameters() if p.requires_grad]
        in_backbone = {id(p) for p in backbone}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in in_backbone]
        groups: list[dict[str, Any]] = [{"params": rest}]
        if backbone:
            rate = self.config.optimizer_lr * self.config.optimizer_backbone_lr_factor
            groups.append({"params": backbone, "lr": rate})
        return groups

    # Prediction

    def reset(self) -> None:
        """Forget the actions that ``select_action`` still holds."""
        self._queue: deque[Tensor] = deque(maxlen=self.config.n_action_steps)

    def noise_problem(self) -> str | None:
        """One sentence if the noise does not belong to this checkpoint's normalisation, else None."""
        if not self.noise.is_fitted:
            return f"{self.name}: noise_is_fitted is false; fit the noise with training/fit_noise.py before deployment"
        if self._noise_mismatch:
            return (
                f"{self.name}: the noise was fitted under other normalisation statistics than this checkpoint's "
                "processors have; refit it with training/fit_noise.py before deployment"
            )
        return None

    def _check_observations(self, batch: dict[str, Tensor]) -> None:
        for key in (OBS_STATE, *self.config.cameras):
            if key not in batch:
                present = ", ".join(k for k in batch if k.startswith("observation")) or "none"
                raise ValueError(f"{self.name}: the input {key} is missing; present: {present}")

    @torch.no_grad()
    def encode_context(self, batch: dict[str, Tensor]) -> Context:
        """The part of an inference that depends on the observations only: preprocessed batch of B to context."""
        self._check_observations(batch)
        return self.network.encode(batch)

    @torch.no_grad()
    def denoise(self, context: Context, *, noise: Tensor | None = None, prefix: Tensor | None = None) -> Tensor:
        """The other part: a normalised action chunk (B, H, A) for each context.

        Args:
            noise: initial noise (B, H, A), as :meth:`CorrelatedNoise.sample` gives it; drawn when None.
            prefix: the first P actions of the chunk, normalised (B, P, A); they come back exactly, and the rest
                continues them.
        """
        steps, shift = self.config.num_inference_steps, self.config.time_grid_shift
        grid = time_grid(steps, shift)
        if noise is None:
            noise = self.noise.sample(context.batch_size)
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
            self._gains[key] = inpainting_gains(correlation, covariance, times, given, error=covariance)
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
        """Predict a normalised action chunk (B, H, A), optionally continuing the running one.

        The arguments are those of LeRobot's real-time chunking, with hard inpainting instead of soft guidance.

        Args:
            batch: preprocessed observations.
            noise: initial noise (B, H, A); drawn when None.
            prev_chunk_left_over: (P, A) or (B, P, A), normalised: the running chunk from this chunk's first step on.
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

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
        """The next normalised action (B, A); predicts when the last ``n_action_steps`` are used up."""
        if not self._queue:
            chunk = self.predict_action_chunk(batch, noise=noise)
            self._queue.extend(chunk[:, : self.config.n_action_steps].transpose(0, 1))
        return self._queue.popleft()
