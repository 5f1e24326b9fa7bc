"""Demonstrations recorded by several processes and read back as LeRobot reads them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from support.ros import wait_until

from prana_ros.datasets import demonstrations as module
from prana_ros.datasets import writer
from prana_ros.datasets.demonstrations import Recording, make_demonstrations, merge
from prana_ros.datasets.writer import DemonstrationDataset
from prana_ros.simulation.demonstration_style import draw_style
from prana_ros.simulation.demonstrations import Demonstration, record_demonstration
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import HARD, SHIFTED, STANDARD, TRAINING_SEEDS, sample_scene
from prana_ros.simulation.task import TASK
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import lerobot_to_radians

pytestmark = pytest.mark.usefixtures("starts_processes")

SCRIPT = Path(__file__).parents[2] / "training/make_demos.py"
FPS, SIZE = 10, (96, 72)
SEED = 40
RECORDING = Recording((STANDARD, HARD), fps=FPS, size=SIZE, seed=SEED)
ORDER = (0, 2, 1)
"""Attempts in the order of the dataset: the first process has 0 and 2, the second 1."""


def opened(root) -> LeRobotDataset:
    return LeRobotDataset("test/demos", root=root, video_backend="pyav")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A recording of three episodes by two processes, and the same demonstrations made here."""
    root = tmp_path_factory.mktemp("demos") / "set"
    attempts = list(make_demonstrations(RECORDING, 3, root, "test/demos", processes=2))
    with World(RECORDING.scene(0), SIZE) as world:
        expected = [record_demonstration(world, RECORDING.scene(index), FPS) for index in ORDER]
    return attempts, opened(root), expected


def test_lerobot_reopens_the_dataset(written):
    attempts, dataset, expected = written
    assert sorted(attempt.seed for attempt in attempts) == [TRAINING_SEEDS + SEED + index for index in range(3)]
    assert {attempt.outcome for attempt in attempts} == {"success"}
    assert dataset.num_episodes == 3
    assert dataset.fps == FPS
    assert list(dataset.meta.episodes["length"]) == [len(demonstration.state) for demonstration in expected]
    assert dataset.meta.robot_type == "so_follower"
    names = [f"{name}.pos" for name in JOINT_NAMES]
    assert dataset.features["action"]["names"] == dataset.features["observation.state"]["names"] == names
    assert dataset[0]["task"] == TASK
    assert [path.name for path in dataset.root.parent.iterdir()] == [dataset.root.name], "nothing is left beside it"


def test_actions_are_the_clean_targets_in_lerobots_units(written):
    _, dataset, expected = written
    for episode, number in enumerate(ORDER):
        scene = RECORDING.scene(number)
        expert = Expert(scene, draw_style(np.random.default_rng((scene.seed, 2))))
        start = dataset.meta.episodes[episode]["dataset_from_index"]
        for frame in (0, 20, 45, len(expected[episode].action) - 1):
            row = dataset[start + frame]
            np.testing.assert_allclose(lerobot_to_radians(row["action"].numpy()), expert.target(frame / FPS), atol=1e-5)
            np.testing.assert_allclose(
                lerobot_to_radians(row["observation.state"].numpy()), expected[episode].state[frame], atol=1e-5
            )


def test_images_survive_the_video(written):
    _, dataset, expected = written
    for episode, demonstration in enumerate(expected):
        frame = 30 + episode
        row = dataset[dataset.meta.episodes[episode]["dataset_from_index"] + frame]
        for camera, images in demonstration.images.items():
            seen = row[f"observation.images.{camera}"].permute(1, 2, 0).numpy() * 255
            errors = [np.abs(seen - images[other]).mean() for other in (frame, frame - 8, frame + 8)]
            assert errors[0] < 6
            assert errors[0] == min(errors)


def test_many_video_files_and_shards_keep_their_frames(tmp_path, monkeypatch):
    """LeRobot's bookkeeping of files and offsets: every frame of every episode has a gray of its own."""
    monkeypatch.setattr(writer, "VIDEO_FILE_SIZE", 0.004)
    monkeypatch.setattr(module, "VIDEO_FILE_SIZE", 0.004)
    grays = iter(range(10, 250, 5))
    shown, shards = [], [tmp_path / f"shard_{index}" for index in range(2)]
    for shard in shards:
        dataset = DemonstrationDataset(shard, FPS, SIZE)
        for length in (3, 5, 2, 6, 4):
            levels = [next(grays) for _ in range(length)]
            frames = np.stack([np.full((SIZE[1], SIZE[0], 3), level, np.uint8) for level in levels])
            dataset.add(
                Demonstration("success", dict.fromkeys(CAMERAS, frames), np.zeros((length, 6)), np.zeros((length, 6)))
            )
            shown += levels
        dataset.close()
    merge(shards, tmp_path / "merged", "test/demos")
    merged = opened(tmp_path / "merged")
    assert len(list(merged.root.glob("videos/observation.images.table/*/*.mp4"))) > 2
    for camera in CAMERAS:
        seen = [merged[index][f"observation.images.{camera}"].numpy().mean() * 255 for index in range(len(merged))]
        np.testing.assert_allclose(seen, shown, atol=1.5)


def test_shares_of_the_distributions():
    recording = Recording((HARD, HARD, STANDARD), seed=5)
    drawn = [recording.scene(index) for index in range(300)]
    standard = [scene for scene in drawn if scene == sample_scene(STANDARD, scene.seed)]
    assert len(standard) == 100
    assert [scene.seed for scene in drawn] == list(range(TRAINING_SEEDS + 5, TRAINING_SEEDS + 305))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"distributions": (STANDARD, SHIFTED)}, "'shifted' are for reporting only .* choose from standard, hard"),
        ({"fps": 30}, "fps is 30; it must divide 100"),
        ({"fps": 0}, "fps is 0; it must divide 100"),
        ({"size": (321, 240)}, "camera size is 321x240; both must be even"),
        ({"size": (320, 2000)}, "camera size is 320x2000"),
        ({"seed": -3}, "first seed is -3"),
    ],
)
def test_bad_recordings_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Recording(**{"distributions": (STANDARD,), **arguments})


def test_an_existing_folder_is_not_overwritten(tmp_path):
    with pytest.raises(ValueError, match="exists already"):
        next(make_demonstrations(RECORDING, 1, tmp_path, "test/demos"))


def test_a_killed_recording_leaves_nothing_that_looks_complete_and_the_next_one_clears_it_away(tmp_path):
    root = tmp_path / "set"
    command = [sys.executable, SCRIPT, "--episodes=500", f"--root={root}", "--processes=1", "--camera-size=64x48"]
    # Killed with all its processes, as by a machine that is out of memory or switched off.
    recorder = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    try:
        episodes = "*/shard_0/meta/tasks.parquet"  # written with the first one
        wait_until(lambda: list((tmp_path / ".set.recording").glob(episodes)), 120.0, lambda: str(recorder.poll()))
        with pytest.raises(ValueError, match=r"another process is recording to .*set"):
            next(make_demonstrations(RECORDING, 1, root, "test/demos"))
    finally:
        os.killpg(recorder.pid, signal.SIGKILL)
        recorder.communicate()
    assert [path.name for path in tmp_path.iterdir()] == [".set.recording"]
    list(make_demonstrations(RECORDING, 1, root, "test/demos"))
    assert list(tmp_path.iterdir()) == [root]
    assert opened(root).num_episodes == 1


def test_a_shard_that_cannot_be_completed_is_a_failure(tmp_path, monkeypatch):
    def close(_: DemonstrationDataset) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(DemonstrationDataset, "close", close)
    shard = module._Shard(0, 1, 1, tmp_path / "shard")
    with pytest.raises(OSError, match="No space left"):
        list(module._record(RECORDING, [shard]))


def test_a_failure_in_a_process_is_told_and_nothing_is_kept(tmp_path):
    root = tmp_path / "deep" / "set"
    recording = Recording((STANDARD,))
    object.__setattr__(recording, "size", (33, 33))  # behind the check's back: the video encoder fails on it
    with pytest.raises(RuntimeError, match="nothing was kept: a worker process failed: "):
        list(make_demonstrations(recording, 1, root, "test/demos", processes=1))
    assert not list(root.parent.iterdir())
