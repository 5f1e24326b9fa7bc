"""The twin as a gymnasium environment, driven by the scripted expert and compared with the world behind it."""

import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from torchvision.transforms.v2 import functional

from prana_ros.evaluation.config_lerobot_environment import GYM_ID
from prana_ros.evaluation.environment import TwinEnvironment
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import HARD, STANDARD, TRAINING_SEEDS, sample_scene
from prana_ros.simulation.task import TaskMonitor
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.driver_state import DriverSettings
from prana_ros.so101.model import REST_POSE
from prana_ros.so101.motion import motion_limits
from prana_ros.so101.units import LEROBOT_UNITS, Units, radians_to_lerobot

SMALL = (48, 36)
REST = radians_to_lerobot(REST_POSE)


@pytest.fixture
def twin():
    """Make environments with small images, which are closed after the test."""
    made = []

    def make(**settings) -> TwinEnvironment:
        made.append(TwinEnvironment(**{"camera_size": SMALL, **settings}))
        return made[-1]

    yield make
    for environment in made:
        environment.close()


@pytest.mark.parametrize("image_size", [None, 24])
def test_gymnasiums_own_check_finds_nothing(image_size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Advice for who learns by trial: these policies' own normalization does that.
        warnings.filterwarnings("ignore", message=".*symmetric and normalized space")
        environment = gym.make(GYM_ID, camera_size=SMALL, image_size=image_size, render_mode="rgb_array")
        check_env(environment.unwrapped)
    environment.close()


@pytest.mark.parametrize(("fps", "seed"), [(10, 5), (20, 6)])
def test_the_experts_targets_succeed(fps, seed):
    environment = gym.make(GYM_ID, fps=fps, camera_size=SMALL, max_episode_steps=15 * fps)
    expert = Expert(sample_scene(STANDARD, seed))
    environment.reset(seed=seed)
    rewards, infos, terminated, truncated = [], [], False, False
    while not (terminated or truncated):
        action = radians_to_lerobot(expert.target(len(rewards) / fps)).astype(np.float32)
        _, reward, terminated, truncated, info = environment.step(action)
        rewards.append(reward)
        infos.append(info)
    environment.close()
    assert terminated
    assert infos[-1] == {"is_success": True, "outcome": "success", "scene_seed": seed}
    assert rewards[-1] == 1.0
    assert not any(rewards[:-1])
    assert not any(info["is_success"] for info in infos[:-1])
    assert {info["outcome"] for info in infos[: 2 * fps]} == {"missed"}, "nothing was lifted yet"
    assert len(rewards) / fps < expert.duration + 1.0


def test_time_is_up_after_the_time_limit(twin):
    environment = gym.wrappers.TimeLimit(twin(), max_episode_steps=3)
    environment.reset(seed=0)
    ends = [environment.step(REST)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_observations_are_the_joints_in_lerobots_units_and_what_the_cameras_see(twin):
    environment = twin(scenes="hard", camera_size=(320, 240), render_mode="rgb_array")
    observation, info = environment.reset(seed=7)
    assert LEROBOT_UNITS is Units.DEGREES
    with World(sample_scene(HARD, 7)) as world:
        world.step(round(0.4 / world.timestep))
        images = {camera: world.render(camera) for camera in CAMERAS}
        np.testing.assert_allclose(observation["agent_pos"][:5], np.degrees(world.position[:5]), rtol=1e-6)
        # LeRobot's gripper: 0 at -10 degrees, 100 at 100 degrees
        np.testing.assert_allclose(observation["agent_pos"][5], (np.degrees(world.position[5]) + 10) / 1.1, rtol=1e-6)
    assert info["scene_seed"] == 7
    assert set(observation["pixels"]) == set(CAMERAS)
    for camera, image in images.items():
        np.testing.assert_array_equal(observation["pixels"][camera], image)
    np.testing.assert_array_equal(environment.render(), np.hstack([images["table"], images["wrist"]]))


def test_image_size_stretches_the_images_with_antialiasing(twin):
    whole, _ = twin(camera_size=(320, 240)).reset(seed=3)
    environment = twin(camera_size=(320, 240), image_size=96, render_mode="rgb_array")
    stretched, _ = environment.reset(seed=3)
    for camera in CAMERAS:
        image = functional.to_image(whole["pixels"][camera])
        expected = functional.resize(image, [96, 96], antialias=True).permute(1, 2, 0).numpy()
        difference = np.abs(stretched["pixels"][camera].astype(int) - expected)
        assert difference.max() <= 1, "rounding, once in integers"
    assert environment.render().shape == (240, 640, 3), "people see what the cameras saw"


@pytest.mark.parametrize("fps", [5, 10, 50])
def test_the_goal_runs_straight_to_each_target_and_stays_within_the_joints_limits(twin, monkeypatch, fps):
    goals, looks = [], []
    setter, update = World.goal.fset, TaskMonitor.update
    monkeypatch.setattr(World, "goal", World.goal.setter(lambda self, goal: (goals.append(goal), setter(self, goal))))
    monkeypatch.setattr(TaskMonitor, "update", lambda self: (looks.append(self), update(self))[1])
    environment = twin(fps=fps)
    environment.reset(seed=0)
    steps = 2 * fps
    seconds = np.arange(steps + 1) / fps
    path = np.column_stack([-40.0 * np.sin(0.5 * seconds), -6.0 * seconds, *np.zeros((4, steps + 1))])
    for moved in path[1:]:
        environment.step(REST + moved)
    limits = motion_limits(twin_calibration(), DriverSettings())
    points = np.clip(REST_POSE + np.radians(path), limits.lower, limits.upper)
    times = np.arange(200) / 100
    expected = np.column_stack([np.interp(times, seconds, joint) for joint in points.T])
    np.testing.assert_allclose(goals, expected, atol=1e-3)  # the driver brakes before a limit
    assert goals[0].shape == (6,)
    assert np.isclose(np.array(goals)[:, 1].min(), limits.lower[1]), "the second joint is sent beyond its limit"
    assert len(looks) == 20, "ten times a second, whatever the frame rate"


def test_a_target_far_away_is_approached_as_fast_as_the_driver_allows(twin, monkeypatch):
    goals, setter = [], World.goal.fset
    monkeypatch.setattr(World, "goal", World.goal.setter(lambda self, goal: (goals.append(goal), setter(self, goal))))
    environment = twin(fps=10)
    environment.reset(seed=0)
    for _ in range(10):
        environment.step(REST + np.array([90.0, 0, 0, 0, 0, 0]))
    speed = np.diff(np.array(goals)[:, 0]) * 100
    assert speed.max() == pytest.approx(DriverSettings().max_velocity)
    assert np.isclose(goals[-1][0], np.radians(90.0))


def test_a_seed_decides_everything_and_its_absence_draws_one(twin):
    environment = twin()
    rng = np.random.default_rng(0)
    actions = REST + rng.uniform(-10, 10, (5, 6))
    runs = []
    for _ in range(2):
        first, _ = environment.reset(seed=11)
        runs.append([first, *(environment.step(action)[0] for action in actions)])
    for before, after in zip(*runs, strict=True):
        np.testing.assert_equal(before, after)
    drawn = [environment.reset()[1]["scene_seed"] for _ in range(3)]
    assert len(set(drawn)) == 3
    assert all(0 <= seed < TRAINING_SEEDS for seed in drawn)
    environment.reset(seed=11)
    assert [environment.reset()[1]["scene_seed"] for _ in range(3)] == drawn


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenes": "soft"}, "unknown scenes 'soft': choose one of standard, hard, shifted"),
        ({"fps": 30}, "fps is 30; it must divide 100"),
        ({"fps": 0}, "fps is 0; it must divide 100"),
        ({"image_size": 0}, "image_size of the images is 0; it must be at least 8"),
        ({"camera_size": (320, -1)}, "height of the images is -1; it must be at least 8"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        TwinEnvironment(**settings)


def test_the_scenes_of_training_are_refused(twin):
    environment = twin()
    for seed in (TRAINING_SEEDS, -1):
        with pytest.raises(ValueError, match=rf"^the scene's seed is {seed}; it must be from 0 to 999999: "):
            environment.reset(seed=seed)
    assert environment.reset(seed=TRAINING_SEEDS - 1)[1]["scene_seed"] == TRAINING_SEEDS - 1


def test_actions_that_cannot_be_played_are_refused(twin):
    environment = twin()
    with pytest.raises(RuntimeError, match=r"call reset\(\) before step\(\)"):
        environment.step(REST)
    environment.reset(seed=0)
    for action in (np.full(6, np.nan), np.zeros(5), np.zeros((1, 6))):
        with pytest.raises(ValueError, match="6 finite joint targets in LeRobot's units, not "):
            environment.step(action)


def test_an_error_stays_the_last_word_of_a_program_that_closes_nothing():
    program = (
        "import gymnasium\n"
        "import prana_ros.evaluation.config_lerobot_environment as config\n"
        "environments = [gymnasium.make(config.GYM_ID, camera_size=(48, 36)) for _ in range(2)]\n"
        "for environment in environments:\n"
        "    environment.reset(seed=0)\n"
        "raise ValueError('last words')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: last words\n")
