"""Small checkpoints with random weights, as `lerobot-train` would write them: PRANA, ACT and Diffusion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.policies.diffusion.processor_diffusion import make_diffusion_pre_post_processors
from lerobot.policies.factory import make_pre_post_processors

from prana_ros.policies.correlated_noise import ActionStatistics, NoiseFit
from support.policies import FLOW_KINDS, FPS, NAMES, tiny_policy

CAMERAS = ("table", "wrist")
HEIGHT, WIDTH = 48, 64
FEATURES = {
    "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
    **{f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, HEIGHT, WIDTH)) for name in CAMERAS},
}
ACTION = {"action": PolicyFeature(FeatureType.ACTION, (6,))}
MEAN = np.array([0.0, 10.0, -10.0, 20.0, 0.0, 30.0])
STD = np.array([10.0, 8.0, 8.0, 6.0, 12.0, 15.0])


def statistics() -> dict[str, dict[str, torch.Tensor]]:
    """Of joints in LeRobot's units and of images; min and max are those of a normal range."""
    joints = {"mean": MEAN, "std": STD, "min": MEAN - 3 * STD, "max": MEAN + 3 * STD}
    colors = {"mean": np.full((3, 1, 1), 0.5), "std": np.full((3, 1, 1), 0.25)}
    colors |= {"min": np.zeros((3, 1, 1)), "max": np.ones((3, 1, 1))}
    stats = {key: colors if "image" in key else joints for key in (*FEATURES, *ACTION)}
    return {key: {n: torch.tensor(v, dtype=torch.float32) for n, v in of.items()} for key, of in stats.items()}


def save_prana(folder: Path, kind: str = "prana_v2", *, fitted: bool = True, **changes: Any) -> Path:
    """A PRANA policy at 10 Hz, trained within three standard deviations of `MEAN`."""
    values: dict[str, Any] = {
        "joint_names": list(NAMES),
        "fps": FPS,
        "state_min": (MEAN - 3 * STD).tolist(),
        "state_max": (MEAN + 3 * STD).tolist(),
        "chunk_size": 16,
    }
    if kind in FLOW_KINDS:
        values |= {"allow_unfitted_noise": False, "num_inference_steps": 4}
    policy = tiny_policy(kind, **{**values, **changes})
    if fitted and kind in FLOW_KINDS:
        size = policy.config.chunk_size * 6
        steps = np.arange(size) // 6
        covariance = 0.9 ** np.abs(np.subtract.outer(steps, steps)) * (
            np.arange(size)[:, None] % 6 == np.arange(size) % 6
        )
        noise = 0.5 * covariance + 0.5 * np.eye(size)
        policy.noise.set_fit(NoiseFit(np.linalg.cholesky(noise), covariance, 100, 0.0), ActionStatistics(MEAN, STD))
    return _save(folder, policy, make_pre_post_processors(policy.config, dataset_stats=statistics()))


def save_act(folder: Path, chunk_size: int = 12) -> Path:
    """An ACT policy, which says neither joint names nor units nor its frame rate."""
    config = ACTConfig(
        input_features=dict(FEATURES),
        output_features=dict(ACTION),
        device="cpu",
        push_to_hub=False,
        chunk_size=chunk_size,
        n_action_steps=chunk_size,
        pretrained_backbone_weights=None,
        dim_model=32,
        n_heads=2,
        dim_feedforward=64,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
    )
    torch.manual_seed(0)
    policy = ACTPolicy(config)
    # As training would leave it: a checkpoint names the weights that its backbone began with.
    config.pretrained_backbone_weights = "ResNet18_Weights.IMAGENET1K_V1"
    return _save(folder, policy, make_act_pre_post_processors(config, statistics()))


def save_diffusion(folder: Path) -> Path:
    """A Diffusion policy, which looks at two observations."""
    config = DiffusionConfig(
        input_features=dict(FEATURES),
        output_features=dict(ACTION),
        device="cpu",
        push_to_hub=False,
        crop_shape=None,
        down_dims=(16, 32),
        horizon=16,
        n_action_steps=8,
        num_train_timesteps=4,
        diffusion_step_embed_dim=8,
        n_groups=2,
        spatial_softmax_num_keypoints=4,
        pretrained_backbone_weights=None,
    )
    torch.manual_seed(0)
    return _save(folder, DiffusionPolicy(config), make_diffusion_pre_post_processors(config, statistics()))


def state(offset: float = 0.0) -> np.ndarray:
    """A joint state (6,) in LeRobot's units inside the training range."""
    return MEAN + offset * STD


def images(seed: int = 0) -> Mapping[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for name in CAMERAS}


def _save(folder: Path, policy: Any, processors: Any) -> Path:
    policy.save_pretrained(folder)
    for processor in processors:
        processor.save_pretrained(folder)
    return folder
