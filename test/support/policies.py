"""Small policies, batches and datasets for the tests of the policies."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config

TABLE, WRIST = "observation.images.table", "observation.images.wrist"
NAMES = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
FPS = 10


def tiny_config(**changes: Any) -> PranaV2Config:
    """Two cameras, six joints, a network of a few thousand weights."""
    values: dict[str, Any] = {
        "device": "cpu",
        "push_to_hub": False,
        "backbone": "small_cnn",
        "freeze_backbone": False,
        "image_size": 32,
        "dim": 16,
        "num_heads": 2,
        "num_context_layers": 1,
        "num_decoder_layers": 2,
        "chunk_size": 8,
        "n_action_steps": 5,
        "flow_samples_per_context": 3,
        "allow_unfitted_noise": True,
        "input_features": {
            "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
            TABLE: PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
            WRIST: PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
        },
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (6,))},
    }
    return PranaV2Config(**{**values, **changes})


def random_batch(size: int, chunk_size: int = 8, seed: int = 0) -> dict[str, torch.Tensor]:
    """A preprocessed training batch without padding."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "observation.state": torch.randn(size, 6, generator=generator),
        TABLE: torch.rand(size, 3, 48, 64, generator=generator),
        WRIST: torch.rand(size, 3, 48, 64, generator=generator),
        "action": torch.randn(size, chunk_size, 6, generator=generator),
        "action_is_pad": torch.zeros(size, chunk_size, dtype=torch.bool),
    }


def wake(policy: torch.nn.Module, seed: int = 0) -> None:
    """Give every weight a value that matters: a fresh policy's output layer is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)


def swinging_dataset(
    root: Path, lengths: tuple[int, ...] = (30, 25, 4), *, video: bool = False, amplitude: float = 20.0
) -> LeRobotDataset:
    """Joints that swing smoothly, and a white square that follows the first of them."""
    names = [f"{name}.pos" for name in NAMES]
    image = {"dtype": "video" if video else "image", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    joints = {"dtype": "float32", "shape": (6,), "names": names}
    features = {"observation.state": joints, "action": joints, TABLE: image, WRIST: image}
    dataset = LeRobotDataset.create(
        "test/swinging", FPS, features, root=root, robot_type="so_follower", use_videos=video, vcodec="h264"
    )
    rng = np.random.default_rng(0)
    columns = np.linspace(0, 255, 64).astype(np.uint8)
    for length in lengths:
        phase = rng.uniform(0, 6, 6)
        for i in range(length):
            frame = np.zeros((48, 64, 3), np.uint8)
            frame[..., 0] = columns
            frame[..., 1] = 8 * i
            position = int(28 + 20 * np.sin(i / FPS + phase[0]))
            frame[16:32, position : position + 8] = 255
            dataset.add_frame(
                {
                    "observation.state": (amplitude * np.sin(i / FPS + phase)).astype(np.float32),
                    "action": (amplitude * np.sin((i + 1) / FPS + phase)).astype(np.float32),
                    TABLE: frame,
                    WRIST: frame[::-1].copy(),
                    "task": "swing",
                }
            )
        dataset.save_episode()
    dataset.finalize()
    return LeRobotDataset("test/swinging", root=root, video_backend="pyav")
