"""Small policies, batches and datasets for the tests of the policies."""

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import get_policy_class, make_policy, make_pre_post_processors

import prana_ros.policies.registration  # noqa: F401 (LeRobot then knows the policies)

TABLE, WRIST = "observation.images.table", "observation.images.wrist"
NAMES = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
FPS = 10


FLOW_KINDS = ["prana_v2", "prana_v3"]
KINDS = ["prana_v1", *FLOW_KINDS]


def tiny_config(kind: str = "prana_v2", **changes: Any) -> Any:
    """Two cameras, six joints, a network of a few thousand weights."""
    values: dict[str, Any] = {
        "device": "cpu",
        "push_to_hub": False,
        "backbone": "small_cnn",
        "freeze_backbone": False,
        "image_size": 32,
        "dim": 16,
        "num_heads": 2,
        "chunk_size": 8,
        "n_action_steps": 5,
        "input_features": {
            "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
            TABLE: PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
            WRIST: PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
        },
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (6,))},
    }
    if kind in FLOW_KINDS:
        values |= {"num_context_layers": 1, "num_decoder_layers": 2, "flow_samples_per_context": 3}
        values["allow_unfitted_noise"] = True
    else:
        values["num_encoder_layers"] = 1
    return PreTrainedConfig.get_choice_class(kind)(**{**values, **changes})


def tiny_policy(kind: str = "prana_v2", **changes: Any) -> Any:
    """An untrained policy of :func:`tiny_config`, the same in every call, whose every weight matters."""
    torch.manual_seed(0)
    config = tiny_config(kind, **changes)
    policy = get_policy_class(kind)(config)
    wake(policy)
    return policy.eval()


def make_fresh(dataset: LeRobotDataset, kind: str = "prana_v2", **changes: Any) -> Any:
    """A policy as LeRobot makes it for training on the dataset."""
    config = tiny_config(kind, **changes)
    config.input_features, config.output_features = {}, {}
    return make_policy(config, ds_meta=dataset.meta)


def save_with_processors(policy: Any, dataset: LeRobotDataset, folder: Path) -> None:
    """Write a checkpoint as LeRobot's trainer does."""
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats):
        processor.save_pretrained(folder)


def train_steps(policy: Any, count: int, learning_rate: float = 1e-2) -> None:
    """As many optimiser steps as LeRobot's trainer does them, on random batches of two."""
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=learning_rate)
    policy.train()
    for seed in range(count):
        loss, _ = policy(random_batch(2, policy.config.chunk_size, seed))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        policy.update()


def chunk(policy: Any, batch: dict[str, torch.Tensor], **arguments: Any) -> torch.Tensor:
    """A prediction whose noise, if it draws any, is the same in every call."""
    torch.manual_seed(5)
    return policy.predict_action_chunk(batch, **arguments)


def observations(size: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """A preprocessed batch for prediction."""
    return {k: v for k, v in random_batch(size, seed=seed).items() if k.startswith("observation")}


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


def write_dataset(
    root: Path, repo_id: str, episodes: Iterable[Iterable[dict[str, Any]]], fps: int = FPS, *, video: bool = False
) -> LeRobotDataset:
    """A dataset of these episodes' frames (images 64 x 48), on any LeRobot that the tests run on."""
    image = {"dtype": "video" if video else "image", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    joints = {"dtype": "float32", "shape": (6,), "names": [f"{name}.pos" for name in NAMES]}
    features = {"observation.state": joints, "action": joints, TABLE: image, WRIST: image}
    # LeRobot 0.6 wants an encoder's whole configuration instead of the codec's name.
    codec = {"vcodec": "h264"} if "vcodec" in inspect.signature(LeRobotDataset.create).parameters else {}
    dataset = LeRobotDataset.create(
        repo_id, fps, features, root=root, robot_type="so_follower", use_videos=video, **codec
    )
    for frames in episodes:
        for frame in frames:
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()
    return LeRobotDataset(repo_id, root=root, video_backend="pyav")


def swinging_dataset(
    root: Path, lengths: tuple[int, ...] = (30, 25, 4), *, video: bool = False, amplitude: float = 20.0
) -> LeRobotDataset:
    """Joints that swing smoothly, and a white square that follows the first of them."""
    rng = np.random.default_rng(0)
    episodes = (_swing(length, rng.uniform(0, 6, 6), amplitude) for length in lengths)
    return write_dataset(root, "test/swinging", episodes, video=video)


def _swing(length: int, phase: np.ndarray, amplitude: float) -> Iterator[dict[str, Any]]:
    columns = np.linspace(0, 255, 64).astype(np.uint8)
    for i in range(length):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[..., 0] = columns
        frame[..., 1] = 8 * i % 256
        position = int(28 + 20 * np.sin(i / FPS + phase[0]))
        frame[16:32, position : position + 8] = 255
        yield {
            "observation.state": (amplitude * np.sin(i / FPS + phase)).astype(np.float32),
            "action": (amplitude * np.sin((i + 1) / FPS + phase)).astype(np.float32),
            TABLE: frame,
            WRIST: frame[::-1].copy(),
            "task": "swing",
        }
