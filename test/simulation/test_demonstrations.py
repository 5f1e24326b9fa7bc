"""Demonstrations, written by worker processes and read back as LeRobot reads them."""

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from prana_ros.simulation import demonstrations
from prana_ros.simulation.demonstrations import (
    NOISE_SIGMA,
    NOISE_TIME,
    JointNoise,
    make_demonstrations,
    record_demonstration,
)
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import STANDARD, TRAINING_SEEDS, sample_scene
from prana_ros.simulation.task import TASK
from prana_ros.simulation.world import World
from prana_ros.so101.figures import JOINT_NAMES, REST_POSE
from prana_ros.so101.units import lerobot_to_radians

FPS, SIZE = 10, (96, 72)
SEED = 40


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("demos") / "set"
    made = list(make_demonstrations(STANDARD, 2, root, "test/demos", fps=FPS, size=SIZE, seed=SEED, processes=2))
    return made, LeRobotDataset("test/demos", root=root, video_backend="pyav")


def test_lerobot_reopens_the_dataset(written):
    made, dataset = written
    kept = [demonstration for demonstration in made if demonstration.outcome == "success"]
    assert dataset.num_episodes == len(kept) == 2
    assert dataset.fps == FPS
    assert dataset.num_frames == sum(len(demonstration.state) for demonstration in kept)
    assert dataset.meta.robot_type == "so_follower"
    names = [f"{name}.pos" for name in JOINT_NAMES]
    assert dataset.features["action"]["names"] == dataset.features["observation.state"]["names"] == names
    assert dataset[0]["task"] == TASK


def test_actions_are_the_clean_targets_in_lerobots_units(written):
    made, dataset = written
    expert = Expert(sample_scene(STANDARD, TRAINING_SEEDS + SEED))
    for index in (0, 20, 45, len(made[0].action) - 1):
        np.testing.assert_allclose(
            lerobot_to_radians(dataset[index]["action"].numpy()), expert.target(index / FPS), atol=1e-5
        )
        np.testing.assert_allclose(
            lerobot_to_radians(dataset[index]["observation.state"].numpy()), made[0].state[index], atol=1e-5
        )


def test_pictures_survive_the_video(written):
    made, dataset = written
    first_length = len(made[0].state)
    for index, demonstration, frame in ((0, made[0], 0), (50, made[0], 50), (first_length + 33, made[1], 33)):
        for camera, pictures in demonstration.images.items():
            seen = dataset[index][f"observation.images.{camera}"].permute(1, 2, 0).numpy() * 255
            assert np.abs(seen - pictures[frame]).mean() < 6
            neighbours = (abs(frame - 8), frame + 8)
            assert all(
                np.abs(seen - pictures[frame]).mean() < np.abs(seen - pictures[other]).mean() for other in neighbours
            )


def test_an_existing_folder_is_not_overwritten(tmp_path):
    with pytest.raises(ValueError, match="exists already"):
        next(make_demonstrations(STANDARD, 1, tmp_path, "test/demos"))


def test_a_rate_off_the_control_grid_is_refused(tmp_path):
    with pytest.raises(ValueError, match="fps is 30; it must divide 100"):
        next(make_demonstrations(STANDARD, 1, tmp_path / "new", "test/demos", fps=30))


def test_demonstrations_repeat_by_seed_and_start_near_rest():
    with World(sample_scene(STANDARD, 0), camera_size=(32, 24)) as world:
        first, other, again = (record_demonstration(world, STANDARD, TRAINING_SEEDS + seed, FPS) for seed in (1, 2, 1))
    np.testing.assert_array_equal(first.state, again.state)
    np.testing.assert_array_equal(first.images["wrist"], again.images["wrist"])
    assert not np.array_equal(first.state[0], other.state[0])
    np.testing.assert_allclose(first.state[0], REST_POSE, atol=0.08)


def test_noise_moves_the_arm_but_not_the_recorded_action(monkeypatch):
    world = World(sample_scene(STANDARD, 0))
    monkeypatch.setattr(world, "render", lambda *_: np.zeros((1, 1, 3), np.uint8))
    seeds = range(TRAINING_SEEDS + 100, TRAINING_SEEDS + 130)
    mixed = [record_demonstration(world, STANDARD, seed, FPS) for seed in seeds]
    monkeypatch.setattr(demonstrations, "NOISY_SHARE", 0.0)
    clean = [record_demonstration(world, STANDARD, seed, FPS) for seed in seeds]
    assert all(demonstration.outcome == "success" for demonstration in mixed)
    strayed = [np.abs(noisy.state - calm.state).max() for noisy, calm in zip(mixed, clean, strict=True)]
    assert 14 <= sum(stray > 0.02 for stray in strayed) <= 26, "two thirds of the episodes carry noise"
    assert sum(stray == 0 for stray in strayed) >= 4, "the others carry none"
    for noisy, calm in zip(mixed, clean, strict=True):
        np.testing.assert_array_equal(noisy.action, calm.action)


def test_joint_noise_has_the_stated_spread_and_memory():
    noise = JointNoise(np.random.default_rng(0))
    samples = np.array([noise.sample() for _ in range(200_000)])[1000:]
    assert not samples[:, 5].any(), "the gripper gets none"
    np.testing.assert_allclose(samples[:, :5].std(axis=0), NOISE_SIGMA, rtol=0.05)
    lag = round(NOISE_TIME * 100)
    for joint in range(5):
        correlation = np.corrcoef(samples[:-lag, joint], samples[lag:, joint])[0, 1]
        assert correlation == pytest.approx(np.exp(-1), abs=0.05)
