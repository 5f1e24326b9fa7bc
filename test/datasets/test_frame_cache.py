import shutil
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from support.policies import TABLE, WRIST, swinging_dataset

from prana_ros.datasets.frame_cache import open_frame_cache

SIZE = 32


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> LeRobotDataset:
    return swinging_dataset(tmp_path_factory.mktemp("cached") / "swinging", lengths=(6, 5), video=True)


def test_a_cache_is_reused_until_the_dataset_or_the_size_changes(dataset, tmp_path):
    open_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")
    file = tmp_path / f"{TABLE}.npy"
    marked = np.load(file)
    marked[0] = 7
    np.save(file, marked)
    reused = open_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")
    assert np.all(reused[TABLE][0] == 7)
    smaller = open_frame_cache(dataset, tmp_path, [TABLE], SIZE // 2, "stretch")
    assert smaller[TABLE].shape == (len(dataset), 3, SIZE // 2, SIZE // 2)
    assert not np.all(smaller[TABLE][0] == 7)


@pytest.mark.parametrize("description", ['{"frames": 0}', '{"dataset": "test/sw', None])
def test_a_cache_that_was_not_finished_is_made_again(description, dataset, tmp_path):
    open_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")
    (tmp_path / "frames.json").unlink()
    if description:
        (tmp_path / "frames.json").write_text(description)
    np.save(tmp_path / f"{TABLE}.npy", np.zeros((1, 3, SIZE, SIZE), np.uint8))
    frames = open_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")[TABLE]
    assert len(frames) == len(dataset)
    assert frames[-1].mean() > 1


def test_a_run_in_progress_keeps_its_frames_when_another_makes_them_anew(dataset, tmp_path):
    first = open_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")[TABLE]
    before = first.copy()
    open_frame_cache(dataset, tmp_path, [TABLE], SIZE // 2, "stretch")
    assert np.array_equal(first, before)


def test_a_second_process_waits_for_the_one_that_fills(dataset, tmp_path):
    opened = []
    with FileLock(tmp_path / "lock"):  # as a process that fills holds it
        waiting = threading.Thread(
            target=lambda: opened.append(open_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch"))
        )
        waiting.start()
        waiting.join(timeout=0.5)
        assert not opened
        assert not list(tmp_path.glob("*.npy*"))
    waiting.join(timeout=60)
    assert len(opened[0][TABLE]) == len(dataset)


def test_an_unknown_camera_is_refused_in_one_sentence(dataset, tmp_path):
    with pytest.raises(ValueError, match=f"no camera observation.images.top; its cameras: {TABLE}, {WRIST}"):
        open_frame_cache(dataset, tmp_path, ["observation.images.top"], SIZE, "stretch")


def test_a_disk_without_room_is_refused_before_anything_is_written(dataset, tmp_path, monkeypatch):
    needed = len(dataset) * 3 * SIZE * SIZE
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=needed - 1))
    sentence = "11 frames of 1 cameras at 32 x 32 take 3.38e-05 GB in .*, where 3.38e-05 GB are free"
    with pytest.raises(ValueError, match=sentence):
        open_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")
    assert not list(tmp_path.glob("*.npy*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=needed))
    assert len(open_frame_cache(dataset, tmp_path, [TABLE], SIZE, "stretch")[TABLE]) == len(dataset)
