"""The policies that the chunk benchmarks compare: full size, random weights, two cameras of 640x480, six joints.

The time of an inference does not depend on the weights. PRANA's resize images to 224x224 themselves; so does LeRobot's
Diffusion by its option; for LeRobot's ACT at that size it is done before, by the same function, within the time.
"""

from dataclasses import dataclass
from typing import Any

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.utils.constants import OBS_IMAGES, OBS_STATE
from torch import Tensor, nn

from benchmarks.parameters import INPUTS, JOINTS, default_policy
from prana_ros.policies.vision import resize_images

CAMERAS = tuple(key for key in INPUTS if key != OBS_STATE)
IMAGE_SIZE = 224
DIFFUSION_STEPS = 10
ACTION = {"action": PolicyFeature(FeatureType.ACTION, (JOINTS,))}

Batch = dict[str, Tensor]


def observation() -> Batch:
    """One preprocessed observation of noise."""
    images = {camera: torch.rand(1, *INPUTS[camera].shape) for camera in CAMERAS}
    return {OBS_STATE: torch.randn(1, JOINTS), **images}


@dataclass(frozen=True)
class Regression:
    """PRANA v1."""

    policy: nn.Module

    def __call__(self, batch: Batch) -> Tensor:
        """The chunk (1, H, A), normalized."""
        return self.policy.predict_action_chunk(batch)

    def compiled_parts(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.policy.network]


@dataclass(frozen=True)
class Flow:
    """PRANA v2 and v3, from given noise."""

    policy: nn.Module
    steps: int
    noise: Tensor

    def __call__(self, batch: Batch) -> Tensor:
        """The chunk (1, H, A), normalized."""
        self.policy.config.num_inference_steps = self.steps
        return self.policy.denoise(self.policy.encode_context(batch), noise=self.noise)

    def compiled_parts(self) -> list[nn.Module]:
        """What is worth compiling: one step of the decoder, not all of them unrolled."""
        network = self.policy.network
        return [network.vision, network.encoder, network.decoder]


@dataclass(frozen=True)
class Act:
    """LeRobot's ACT with its defaults (chunks of 100); ``size``: of the images that it is given, None as they are."""

    policy: nn.Module
    size: int | None

    def __call__(self, batch: Batch) -> Tensor:
        """The chunk (1, H, A), normalized."""
        if self.size is not None:
            batch = {**batch, **{camera: resize_images(batch[camera], self.size) for camera in CAMERAS}}
        return self.policy.predict_action_chunk(batch)

    def compiled_parts(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.policy.model]


@dataclass(frozen=True)
class Diffusion:
    """LeRobot's Diffusion, DDIM; it looks at two observations and returns 8 actions of 16 (its defaults)."""

    policy: nn.Module
    noise: Tensor

    def __call__(self, batch: Batch) -> Tensor:
        """The actions (1, 8, A), normalized."""
        images = torch.stack([batch[camera] for camera in CAMERAS], dim=1)
        history = {OBS_STATE: batch[OBS_STATE], OBS_IMAGES: images}
        history = {key: torch.stack([value] * self.policy.config.n_obs_steps, dim=1) for key, value in history.items()}
        return self.policy.diffusion.generate_actions(history, noise=self.noise)

    def compiled_parts(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.policy.diffusion.rgb_encoder, self.policy.diffusion.unet]


Subject = Regression | Flow | Act | Diffusion


def prana(kind: str) -> nn.Module:
    """A PRANA policy with its default options."""
    policy = default_policy(kind).eval()
    if kind != "prana_v1":
        # A fresh policy's last layer is zero, and so would be its rounding errors.
        policy.network.decoder.action_out.reset_parameters()
    return policy


def flow(kind: str, steps: int) -> Flow:
    """A PRANA flow-matching policy."""
    policy = prana(kind)
    return Flow(policy, steps, policy.noise.sample(1))


def act(size: int | None) -> Act:
    """LeRobot's ACT for images of a square ``size``, or for the cameras' own."""
    shape = {camera: (3, size, size) if size else INPUTS[camera].shape for camera in CAMERAS}
    inputs = {key: PolicyFeature(feature.type, shape.get(key, feature.shape)) for key, feature in INPUTS.items()}
    return Act(ACTPolicy(ACTConfig(input_features=inputs, **_common())).eval(), size)


def diffusion() -> Diffusion:
    """LeRobot's Diffusion at ``IMAGE_SIZE``."""
    config = DiffusionConfig(
        input_features=dict(INPUTS),
        noise_scheduler_type="DDIM",
        num_inference_steps=DIFFUSION_STEPS,
        resize_shape=(IMAGE_SIZE, IMAGE_SIZE),
        **_common(),
    )
    return Diffusion(DiffusionPolicy(config).eval(), torch.randn(1, config.horizon, JOINTS))


def _common() -> dict[str, Any]:
    return {"output_features": dict(ACTION), "device": "cpu", "pretrained_backbone_weights": None}
