"""Stock ``lerobot-eval`` and ``lerobot-train`` with the twin as their environment."""

import json
from pathlib import Path

import av
import draccus
import lerobot_policy_prana  # noqa: F401 (registers the environment, as in LeRobot's commands)
import numpy as np
import pytest
from lerobot.configs.train import TrainPipelineConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.envs.factory import make_env
from lerobot.envs.utils import close_envs, env_to_policy_features
from support.checkpoints import HEIGHT, WIDTH, save_diffusion, save_prana
from support.lerobot_commands import run_lerobot
from support.policies import swinging_dataset

from prana_ros.datasets.writer import dataset_features
from prana_ros.resources import packaged
from prana_ros.simulation.task import TASK

pytestmark = pytest.mark.usefixtures("starts_processes")

TWIN = ["--env.type=prana_twin", "--seed=0", "--eval.n_episodes=2"]
SHORT = ["--env.time_limit=0.5", "--eval.use_async_envs=false", *TWIN]
STEPS = 5
"""Of a short episode."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Where these wrote: the demo's policy, another with a history, and training that evaluates and is resumed."""
    folder = tmp_path_factory.mktemp("lerobot_eval")
    swinging_dataset(folder / "swinging", lengths=(20, 18))
    tiny, diffusion = save_prana(folder / "tiny"), save_diffusion(folder / "diffusion_checkpoint")

    def evaluate(checkpoint: Path, output: str, *options: str) -> list[str]:
        return ["lerobot_eval", f"--policy.path={checkpoint}", f"--output_dir={folder / output}", *options]

    data = ["--dataset.repo_id=test/swinging", f"--dataset.root={folder / 'swinging'}", "--dataset.video_backend=pyav"]
    trained = [f"--policy.path={tiny}", "--policy.push_to_hub=false", f"--output_dir={folder / 'train'}"]
    # LeRobot 0.6 has another name for it.
    every = "env_eval_freq" if hasattr(TrainPipelineConfig, "env_eval_freq") else "eval_freq"
    course = ["--steps=2", f"--{every}=2", "--batch_size=4", "--num_workers=0"]
    config = folder / "train" / "checkpoints" / "last" / "pretrained_model" / "train_config.json"
    run_lerobot(
        evaluate(packaged("checkpoints", "twin_v2"), "demo", *TWIN, "--eval.batch_size=2"),
        evaluate(
            diffusion, "diffusion", *SHORT, "--eval.batch_size=1", f"--env.width={WIDTH}", f"--env.height={HEIGHT}"
        ),
        ["lerobot_train", *data, *trained, *course, *SHORT, "--eval.batch_size=2"],
        ["lerobot_train", f"--config_path={config}", "--resume=true", "--steps=4"],
    )
    return folder


def read_video(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def metrics(run: Path) -> dict:
    (task,) = json.loads((run / "eval_info.json").read_text())["per_task"]
    assert task["task_group"] == "prana_twin"
    return task["metrics"]


def test_the_demos_policy_does_the_task(runs):
    told = metrics(runs / "demo")
    assert told["successes"] == [True, True]
    assert told["sum_rewards"] == [1.0, 1.0]
    first, second = (read_video(Path(path)) for path in told["video_paths"])
    assert first.shape[1:] == (240, 640, 3), "both cameras, side by side"
    assert 40 < len(first) < 150, "it ends with success, not with the time"
    assert len(first) != len(second) or (first != second).any(), "two scenes"
    moved = np.abs(first[0].astype(int) - first[len(first) // 2]).mean(axis=2) > 40
    assert moved[:, :320].mean() > 0.01, "the table's image shows an arm that moves"
    assert moved[:, 320:].mean() > 0.1, "and the wrist's another view"


def test_a_policy_with_a_history_gets_images_of_its_size(runs):
    told = metrics(runs / "diffusion")
    assert told["successes"] == [False, False]
    assert told["sum_rewards"] == [0.0, 0.0]
    assert [read_video(Path(path)).shape for path in told["video_paths"]] == [(STEPS, HEIGHT, 2 * WIDTH, 3)] * 2


def test_training_evaluates_on_the_way_and_when_resumed(runs):
    for step in ("2", "4"):
        videos = sorted((runs / "train" / "eval").glob(f"videos_step_*{step}/prana_twin_0/*.mp4"))
        assert [read_video(video).shape for video in videos] == [(STEPS, 240, 640, 3)] * 2


def environment(**settings) -> EnvConfig:
    """As LeRobot makes it of what stands on its command line."""
    return draccus.decode(EnvConfig, {"type": "prana_twin", **settings})


@pytest.mark.parametrize(("settings", "size"), [({}, (320, 240)), ({"image_size": 96}, (96, 96))])
def test_its_features_are_those_of_the_demonstrations(settings, size):
    recorded = {name: feature["shape"] for name, feature in dataset_features(size).items()}
    kinds = {"action": FeatureType.ACTION, "observation.state": FeatureType.STATE}
    assert env_to_policy_features(environment(**settings)) == {
        name: PolicyFeature(kinds[name], shape) if name in kinds else PolicyFeature(FeatureType.VISUAL, (3, *shape[:2]))
        for name, shape in recorded.items()
    }


def test_lerobots_vector_of_environments_has_the_scenes_of_its_seeds_and_the_task():
    envs = make_env(environment(time_limit=0.1, image_size=24, task="Tidy up"), n_envs=2)
    vector = envs["prana_twin"][0]
    observation, info = vector.reset(seed=[7, 8])
    assert info["scene_seed"].tolist() == [7, 8]
    assert observation["pixels"]["wrist"].shape == (2, 24, 24, 3)
    assert vector.call("task_description") == ("Tidy up", "Tidy up")
    *_, truncated, info = vector.step(observation["agent_pos"])
    assert truncated.tolist() == [True, True]
    final = info["final_info"]
    assert final["scene_seed"].tolist() == [7, 8]
    assert final["outcome"].tolist() == ["missed", "missed"]
    assert not final["is_success"].any()
    close_envs(envs)
    assert environment().task == TASK


@pytest.mark.parametrize(
    ("settings", "seed", "message"),
    [
        ({}, 1_000_000, "the scene's seed is 1000000; it must be from 0 to 999999: those above are for training"),
        ({"scenes": "soft"}, 0, "unknown scenes 'soft': choose one of standard, hard, shifted"),
        ({"time_limit": 0.04}, 0, "time_limit is 0.04 s at fps 10; it must be at least one frame"),
        ({"fps": 30}, 0, "fps is 30; it must divide 100"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_a_sentence(settings, seed, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make_env(environment(**settings), n_envs=1)["prana_twin"][0].reset(seed=[seed])
