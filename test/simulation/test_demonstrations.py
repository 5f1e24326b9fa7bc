"""One demonstration at a time: its seed decides it, and its noise is not recorded."""

import numpy as np
import pytest

from prana_ros.simulation import demonstrations
from prana_ros.simulation.demonstrations import NOISE_SIGMA, NOISE_TIME, JointNoise, record_demonstration
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import STANDARD, TRAINING_SEEDS, Scene, sample_scene
from prana_ros.simulation.world import World
from prana_ros.so101.model import REST_POSE

FPS = 10


def scene(seed: int) -> Scene:
    return sample_scene(STANDARD, TRAINING_SEEDS + seed)


def test_demonstrations_repeat_by_seed_and_start_near_rest():
    with World(sample_scene(STANDARD, 0), camera_size=(32, 24)) as world:
        first, other, again = (record_demonstration(world, scene(seed), FPS) for seed in (1, 2, 1))
    np.testing.assert_array_equal(first.state, again.state)
    np.testing.assert_array_equal(first.images["wrist"], again.images["wrist"])
    assert not np.array_equal(first.state[0], other.state[0])
    np.testing.assert_allclose(first.state[0], REST_POSE, atol=0.08)


def test_the_plain_manner_is_the_experts_own():
    with World(scene(1), camera_size=(32, 24)) as world:
        plain, varied = (record_demonstration(world, scene(1), FPS, plain=plain) for plain in (True, False))
    expert = Expert(scene(1))
    np.testing.assert_array_equal(plain.action, [expert.target(index / FPS) for index in range(len(plain.action))])
    assert len(varied.action) != len(plain.action)


def test_noise_moves_the_arm_but_not_the_recorded_action(monkeypatch):
    world = World(sample_scene(STANDARD, 0))
    monkeypatch.setattr(world, "render", lambda *_: np.zeros((1, 1, 3), np.uint8))
    seeds = range(100, 130)
    mixed = [record_demonstration(world, scene(seed), FPS) for seed in seeds]
    monkeypatch.setattr(demonstrations, "NOISY_SHARE", 0.0)
    clean = [record_demonstration(world, scene(seed), FPS) for seed in seeds]
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
