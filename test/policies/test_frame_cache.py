import json

import numpy as np
import pytest
import torch
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from support.policies import TABLE, WRIST, swinging_dataset, tiny_config

from prana_ros.policies.frame_cache import make_frame_cache
from prana_ros.policies.vision import resize_images

SIZE = 32


@pytest.fixture(scope="module", params=[False, True], ids=["images", "video"])
def root(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("cached") / "swinging"
    swinging_dataset(root, lengths=(12, 9), video=request.param)
    return root


def load(root, **options) -> LeRobotDataset:
    dataset = LeRobotDataset("test/swinging", root=root)
    deltas = resolve_delta_timestamps(tiny_config(), dataset.meta)
    return LeRobotDataset("test/swinging", root=root, delta_timestamps=deltas, video_backend="pyav", **options)


@pytest.mark.parametrize("episodes", [None, [1]])
def test_cached_items_equal_the_datasets_own(root, tmp_path, episodes):
    dataset = load(root, episodes=episodes)
    cached = make_frame_cache(dataset, tmp_path, [TABLE, WRIST], SIZE, "stretch")
    assert len(cached) == len(dataset)
    for i in range(len(dataset)):
        expected, item = dataset[i], cached[i]
        for camera in (TABLE, WRIST):
            resized = resize_images(expected[camera][None], SIZE)[0]
            assert (item[camera] / 255 - resized).abs().max() < 2 / 255
        for key in ("observation.state", "action", "action_is_pad"):
            assert torch.equal(item[key], expected[key]), key
        assert item["task"] == expected["task"]


def test_a_cache_is_reused_until_the_dataset_or_the_size_changes(root, tmp_path):
    dataset = load(root)
    make_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")
    file = tmp_path / f"{TABLE}.npy"
    marked = np.load(file)
    marked[0] = 7
    np.save(file, marked)
    reused = make_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")
    assert torch.all(reused[0][TABLE] == 7)
    resized = make_frame_cache(dataset, tmp_path, [TABLE], SIZE // 2, "stretch")
    assert resized[0][TABLE].shape == (3, SIZE // 2, SIZE // 2)
    assert not torch.all(resized[0][TABLE] == 7)


def test_a_cache_that_was_not_finished_is_made_again(root, tmp_path):
    dataset = load(root)
    make_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")
    (tmp_path / "frames.json").write_text(json.dumps({"frames": 0}))
    np.save(tmp_path / f"{TABLE}.npy", np.zeros((1, 3, SIZE, SIZE), np.uint8))
    cached = make_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")
    assert cached[len(cached) - 1][TABLE].float().mean() > 1
