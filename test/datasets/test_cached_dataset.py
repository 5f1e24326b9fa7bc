"""Batches from memory against the items that LeRobot's own dataset gives."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from support.policies import TABLE, WRIST, tiny_config, write_dataset
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.data import DataLoader, default_collate

from prana_ros.datasets.cached_dataset import CachedDataset
from prana_ros.datasets.frame_cache import open_frame_cache
from prana_ros.policies.vision import resize_images

SIZE = 32
CAMERAS = [TABLE, WRIST]
POLICIES = {
    "prana": tiny_config(),
    "act": ACTConfig(device="cpu", chunk_size=8, n_action_steps=8, push_to_hub=False),
    "diffusion": DiffusionConfig(device="cpu", horizon=8, n_action_steps=4, down_dims=(8, 16), push_to_hub=False),
}


@pytest.fixture(scope="module", params=[False, True], ids=["images", "video"])
def root(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("cached") / "swinging"
    rng = np.random.default_rng(0)
    write_dataset(root, "test/swinging", (frames(length, rng) for length in (12, 9)), video=request.param)
    return root


def frames(length: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Random numbers, plain colors, and tasks that come and go."""
    for i in range(length):
        colors = np.broadcast_to(rng.integers(256, size=(2, 1, 1, 3), dtype=np.uint8), (2, 48, 64, 3))
        state, action = rng.normal(size=(2, 6)).astype(np.float32)
        images = dict(zip(CAMERAS, colors, strict=True))
        yield {"observation.state": state, "action": action, **images, "task": ("swing", "rest", "beckon")[i % 3]}


def load(root, policy="prana", **options) -> LeRobotDataset:
    meta = LeRobotDataset("test/swinging", root=root).meta
    deltas = options.pop("delta_timestamps", None) or resolve_delta_timestamps(POLICIES[policy], meta)
    return LeRobotDataset("test/swinging", root=root, delta_timestamps=deltas, video_backend="pyav", **options)


def cached(dataset, folder, **options) -> CachedDataset:
    return CachedDataset(dataset, open_frame_cache(dataset, folder, CAMERAS, SIZE, "stretch"), **options)


def resized(images: torch.Tensor) -> torch.Tensor:
    return resize_images(images.reshape(-1, *images.shape[-3:]), SIZE).reshape(*images.shape[:-2], SIZE, SIZE)


def assert_equal_items(item, expected):
    assert set(item) == set(expected)
    for key, value in expected.items():
        if key in CAMERAS:
            assert item[key].dtype == torch.float32
            assert item[key].shape == resized(value).shape
            assert (item[key] - resized(value)).abs().max() < 2 / 255
        elif isinstance(value, torch.Tensor):
            assert item[key].dtype == value.dtype, key
            assert torch.equal(item[key], value), key
        else:
            assert item[key] == value, key


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("episodes", [None, [1]])
def test_items_equal_the_datasets_own(root, tmp_path, policy, episodes):
    dataset = load(root, policy, episodes=episodes)
    data = cached(dataset, tmp_path, as_float=True)
    assert len(data) == len(dataset)
    for i in range(len(dataset)):
        assert_equal_items(data[i], dataset[i])
    assert torch.equal(data[-1]["action"], data[len(data) - 1]["action"])


def test_a_single_step_in_the_past_keeps_lerobots_axes(root, tmp_path):
    deltas = {key: [-0.1] for key in ("observation.state", *CAMERAS)}
    dataset = load(root, delta_timestamps={**deltas, "action": [0.0, 0.1]})
    data = cached(dataset, tmp_path, as_float=True)
    for i in (0, 5, 12):
        assert_equal_items(data[i], dataset[i])


@pytest.mark.parametrize("policy", ["prana", "diffusion"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gives_what_it_gives_for_the_dataset(root, tmp_path, policy, workers):
    dataset = load(root, policy)
    data = cached(dataset, tmp_path, as_float=True)
    batches = list(DataLoader(data, batch_size=8, num_workers=workers))
    assert [len(batch["task"]) for batch in batches] == [8, 8, 5]
    expected = default_collate([dataset[i] for i in range(8, 16)])
    assert_equal_items(batches[1], expected)


@pytest.mark.parametrize("policy", ["prana", "diffusion"])
def test_frames_kept_on_a_device_come_back_after_the_loader(root, tmp_path, policy):
    dataset = load(root, policy)
    on_host = cached(dataset, tmp_path)
    data = cached(dataset, tmp_path, device=torch.device("cpu"))
    (batch,) = DataLoader(data, batch_size=len(data), pin_memory=False)
    assert batch[TABLE].dtype == torch.int64  # rows: nothing large passed through the loader
    filled, expected = data.with_images(batch), on_host.batch(range(len(data)))
    for camera in CAMERAS:
        assert filled[camera].dtype == torch.uint8
        assert torch.equal(filled[camera], expected[camera])
    assert data.with_images(filled) is filled
    assert torch.equal(data[3][WRIST], on_host[3][WRIST])


def test_images_are_made_where_the_frames_are(root, tmp_path):
    meta = torch.device("meta")
    data = cached(load(root), tmp_path, device=meta, as_float=True)
    (batch,) = DataLoader(data, batch_size=len(data))
    on_device = {key: value.to(meta) if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
    images = data.with_images(on_device)[TABLE]
    assert images.device == meta
    assert images.shape == (len(data), 3, SIZE, SIZE)


def test_images_from_the_host_come_to_a_batch_on_a_gpu(root, tmp_path):
    """PyTorch's fake tensors know of devices that the machine lacks."""
    data = cached(load(root), tmp_path, device=torch.device("cpu"), as_float=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        batch = data.with_images({camera: torch.zeros(4, dtype=torch.long, device="cuda") for camera in CAMERAS})
    assert batch[TABLE].device.type == "cuda"
    assert batch[TABLE].shape == (4, 3, SIZE, SIZE)


def test_more_frames_than_are_copied_at_a_time(root, tmp_path, monkeypatch):
    monkeypatch.setattr("prana_ros.datasets.cached_dataset.COPIED_AT_A_TIME", 4)
    dataset = load(root)
    data = cached(dataset, tmp_path, device=torch.device("cpu"))
    frames = np.load(tmp_path / f"{WRIST}.npy")
    assert np.array_equal(data.batch(range(len(data)))[WRIST].numpy(), frames)
