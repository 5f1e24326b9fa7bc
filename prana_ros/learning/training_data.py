"""The dataset that LeRobot's trainer reads: with images from a frame cache wherever their size is known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.factory import make_dataset
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.utils.constants import HF_LEROBOT_HOME, HF_LEROBOT_HUB_CACHE
from torch.utils.data import Dataset

from prana_ros.datasets.cached_dataset import CachedDataset, fits_on
from prana_ros.datasets.frame_cache import open_frame_cache
from prana_ros.datasets.opening import one_sentence_if_missing, require_episodes, require_usable
from prana_ros.policies.chunk_config import ChunkPolicyConfig

NOWHERE = "none"


@dataclass(frozen=True)
class FrameOptions:
    """What the user says about decoded frames.

    Attributes:
        folder: of the cache; None: beside the dataset; ``none``: no cache.
        size: side of the images (pixels) for policies that do not say which they want.
        device: where the frames are held; ``none``: memory-mapped; None: on the GPU that trains, if they fit.
    """

    folder: str | None = None
    size: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class _Frames:
    """What a policy wants to see."""

    cameras: list[str]
    size: int
    resize_mode: str
    as_float: bool


def make_training_dataset(cfg: TrainPipelineConfig, options: FrameOptions) -> Dataset:
    """LeRobot's dataset for this run, as a :class:`CachedDataset` unless the frames' size is not known.

    A policy that is not PRANA's sees the size in the dataset's features, in memory, and takes it as that of its inputs.

    Raises:
        ValueError: for options that do not fit the policy, the dataset or the machine.
    """
    dataset = _lerobots_dataset(cfg)
    frames = None if options.folder == NOWHERE else _wanted_frames(cfg, dataset, options.size)
    if frames is None:
        if options.size:
            raise ValueError(f"--frame_cache_size is {options.size}, but these frames are not cached; leave it out")
        return dataset
    if frames.as_float:
        _announce_size(dataset, frames)
    folder = Path(options.folder) if options.folder else _default_folder(dataset, frames)
    arrays = open_frame_cache(dataset, folder, frames.cameras, frames.size, frames.resize_mode)
    return CachedDataset(dataset, arrays, as_float=frames.as_float, device=_frame_device(options.device, arrays))


def _lerobots_dataset(cfg: TrainPipelineConfig) -> LeRobotDataset:
    wanted = cfg.dataset
    require_usable(wanted.repo_id, wanted.root)
    if isinstance(cfg.policy, ChunkPolicyConfig):
        # These normalize images by the backbone's constants. LeRobot would fail on a dataset without its images' own.
        wanted.use_imagenet_stats = False
    with one_sentence_if_missing(wanted.root or wanted.repo_id):
        if wanted.episodes is not None:
            meta = LeRobotDatasetMetadata(wanted.repo_id, wanted.root, wanted.revision)
            require_episodes("--dataset.episodes", wanted.episodes, wanted.repo_id, meta.total_episodes)
        return make_dataset(cfg)


def _default_folder(dataset: LeRobotDataset, frames: _Frames) -> Path:
    """Beside the dataset; for a downloaded one, not in the hub's cache of files but where a local one would be."""
    downloaded = dataset.root.is_relative_to(HF_LEROBOT_HUB_CACHE)
    root = HF_LEROBOT_HOME / dataset.repo_id if downloaded else dataset.root
    return root.with_name(f"{root.name}.frames_{frames.size}_{frames.resize_mode}")


def _wanted_frames(cfg: TrainPipelineConfig, dataset: LeRobotDataset, size: int | None) -> _Frames | None:
    """None where frames cannot be cached: streamed, changed on the way, or of unknown size."""
    if cfg.dataset.streaming or cfg.dataset.image_transforms.enable or not dataset.meta.camera_keys:
        return None
    policy = cfg.policy
    cameras = list(dataset.meta.camera_keys)
    if isinstance(policy, ChunkPolicyConfig):
        if size not in (None, policy.image_size):
            raise ValueError(f"--frame_cache_size is {size}, but the policy's image_size is {policy.image_size}")
        return _Frames(policy.camera_order or cameras, policy.image_size, policy.resize_mode, as_float=False)
    size = size or _trained_size(policy, dataset)
    return None if size is None else _Frames(cameras, size, "stretch", as_float=True)


def _trained_size(policy: PreTrainedConfig, dataset: LeRobotDataset) -> int | None:
    """The size at which a policy that goes on training has seen this dataset's images, if it is not their own."""
    for camera, feature in policy.image_features.items():
        _, height, width = feature.shape
        if height == width and camera in dataset.meta.camera_keys and _image_shape(dataset, camera) != (height, width):
            return height
    return None


def _image_shape(dataset: LeRobotDataset, camera: str) -> tuple[int, int]:
    feature = dataset.meta.features[camera]
    sides = dict(zip(feature["names"], feature["shape"], strict=True))
    return sides["height"], sides["width"]


def _announce_size(dataset: LeRobotDataset, frames: _Frames) -> None:
    """Let the policy's input features be those of the cache."""
    for camera in frames.cameras:
        feature: dict[str, Any] = dataset.meta.features[camera]
        feature["shape"] = tuple(
            frames.size if name in ("height", "width") else side
            for name, side in zip(feature["names"], feature["shape"], strict=True)
        )


def _frame_device(name: str | None, frames: dict[str, Any]) -> torch.device | None:
    if name == NOWHERE:
        return None
    if name is None:
        device = PartialState().device
        return device if device.type == "cuda" and fits_on(device, frames) else None
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--frame_cache_device is {name!r}, which is not available here: {reason}") from error
