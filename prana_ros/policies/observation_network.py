"""What the networks of all policies begin with: images and joint state to tokens."""

import torch
from lerobot.utils.constants import OBS_STATE
from torch import Tensor, nn

from prana_ros.policies.chunk_config import ChunkPolicyConfig
from prana_ros.policies.precision import full_precision
from prana_ros.policies.vision import VisionEncoder


class ObservationNetwork(nn.Module):
    """Vision tokens and a state token of the policy's width D."""

    def __init__(self, config: ChunkPolicyConfig, *, pretrained_backbone: bool):
        super().__init__()
        self.vision = VisionEncoder(
            config.cameras,
            config.dim,
            backbone=config.backbone,
            image_size=config.image_size,
            resize_mode=config.resize_mode,
            freeze=config.freeze_backbone,
            per_camera=config.backbone_per_camera,
            pretrained=pretrained_backbone,
            keep_class_token=config.use_class_token,
            augmentations=config.augmentations,
        )
        self.state_in = nn.Linear(config.state_dim, config.dim)
        self.state_embedding = nn.Parameter(torch.randn(config.dim) * 0.02)

    def observation_tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """Tokens (B, N, D): all cameras', then the state's."""
        with full_precision(batch[OBS_STATE]):
            state = self.state_in(batch[OBS_STATE]) + self.state_embedding
        return torch.cat([self.vision(batch), state[:, None]], dim=1)
