"""What all policies of action chunks share as LeRobot sees them: checkpoints, dataset, averaging, queue, inputs."""

from abc import abstractmethod
from collections import deque
from pathlib import Path
from typing import Any, Self

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from safetensors.torch import load_file, save_file
from torch import Tensor

from prana_ros.policies import dataset_metadata
from prana_ros.policies.chunk_config import ChunkPolicyConfig
from prana_ros.policies.ema import EMA
from prana_ros.policies.observation_network import ObservationNetwork

WEIGHTS_FILE = "model.safetensors"
TRAINING_WEIGHTS_FILE = "training_weights.safetensors"


class ChunkPolicy(PreTrainedPolicy):
    """A policy with averaged weights that knows its training dataset.

    A fresh policy takes what it needs from the training dataset at once, a loaded one before the first training step.
    A checkpoint's ``model.safetensors`` holds the averaged weights; the raw ones lie beside it in
    ``training_weights.safetensors``, and training that starts from such a checkpoint goes on with them.

    A subclass gives ``_build``, ``_loss`` and ``predict_action_chunk``.
    """

    config_class = ChunkPolicyConfig
    name = "chunk"
    network: ObservationNetwork

    def __init__(
        self,
        config: ChunkPolicyConfig,
        *,
        dataset_meta: Any | None = None,
        loads_weights: bool = False,
        **kwargs: Any,
    ):
        """
        Args:
            config: with the features filled in, as LeRobot's ``make_policy`` does.
            dataset_meta: the training dataset's metadata.
            loads_weights: the caller is about to load a checkpoint, so nothing is downloaded or fitted now.
            kwargs: what else LeRobot hands to every policy; unused.
        """
        super().__init__(config)
        config.validate_features()
        self._build(pretrained_backbone=config.pretrained_backbone and not loads_weights)
        self._average = EMA(config.ema_decay)
        self._dataset_meta = dataset_meta
        self._raw_weights: dict[str, Tensor] | None = None
        self._training_prepared = False
        self.reset()
        if dataset_meta is not None and not loads_weights:
            self._fit_to_dataset(dataset_meta)

    @abstractmethod
    def _build(self, *, pretrained_backbone: bool) -> None:
        """Make the modules, ``network`` among them."""

    # Checkpoints

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: str | Path, **kwargs: Any) -> Self:
        """As LeRobot's, without downloading a backbone."""
        policy = super().from_pretrained(pretrained_name_or_path, loads_weights=True, **kwargs)
        raw_weights = Path(pretrained_name_or_path) / TRAINING_WEIGHTS_FILE
        if raw_weights.is_file():
            policy._raw_weights = load_file(raw_weights)
        return policy

    def _save_pretrained(self, save_directory: Path, state_dict: dict[str, Tensor] | None = None) -> None:
        """LeRobot 0.6 hands over a ``state_dict`` where FSDP has spread the weights over several GPUs."""
        if state_dict is not None:
            raise ValueError(f"{self.name} cannot average weights that FSDP spreads over GPUs; allowed: DDP, one GPU")
        self.config._save_pretrained(save_directory)
        deployed = {k: v.contiguous() for k, v in self._average.averaged(self.state_dict()).items()}
        save_file(deployed, save_directory / WEIGHTS_FILE, metadata={"format": "pt"})
        if self._average.num_updates:
            save_file(self._average.raw_state(self), save_directory / TRAINING_WEIGHTS_FILE, metadata={"format": "pt"})

    # Training

    def _fit_to_dataset(self, dataset_meta: Any) -> None:
        """Take over what the checkpoint gate will ask for. Raises ``ValueError`` for joints in another order."""
        config = self.config
        config.joint_names = dataset_metadata.agreed_joint_names(config.joint_names, dataset_meta)
        config.fps = int(dataset_meta.fps)
        config.state_min, config.state_max = dataset_metadata.state_range(dataset_meta)

    def _prepare_training(self) -> None:
        """Before the first step of a loaded policy: the dataset's facts are the new ones, the raw weights come back."""
        self._training_prepared = True
        if self._dataset_meta is not None:
            self._fit_to_dataset(self._dataset_meta)
        if self._raw_weights is not None:
            self._average.resume(self, self._raw_weights)
            self._raw_weights = None

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch of observations and normalized action chunks (B, H, A), and its parts by name."""
        if self.training and not self._training_prepared:
            self._prepare_training()
        self._check_observations(batch)
        return self._loss(batch)

    @abstractmethod
    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """What :meth:`forward` returns, for a batch that has all inputs."""

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

    def _check_observations(self, batch: dict[str, Tensor]) -> None:
        for key in self.config.inputs:
            if key not in batch:
                present = ", ".join(k for k in batch if k.startswith("observation")) or "none"
                raise ValueError(f"{self.name}: the input {key} is missing; present: {present}")

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], **kwargs: Any) -> Tensor:
        """The next normalized action (B, A); predicts when the last ``n_action_steps`` are used up.

        Keyword arguments go to ``predict_action_chunk``.
        """
        if not self._queue:
            chunk = self.predict_action_chunk(batch, **kwargs)
            self._queue.extend(chunk[:, : self.config.n_action_steps].transpose(0, 1))
        return self._queue.popleft()
