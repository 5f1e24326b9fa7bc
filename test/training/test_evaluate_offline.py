"""The offline evaluation on checkpoints with random weights and a small dataset."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.checkpoints import save_act, save_diffusion, save_prana
from support.policies import NAMES, swinging_dataset
from support.scripts import load_script

from prana_ros.datasets.opening import open_dataset
from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.learning.offline_evaluation import collect, open_for

pytestmark = pytest.mark.usefixtures("starts_processes")

evaluate_offline = load_script("training/evaluate_offline.py")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("offline") / "swinging"
    swinging_dataset(root, lengths=(14, 12, 10), video=True)
    return root


@pytest.fixture
def evaluate(monkeypatch, capsys):
    def call(*arguments: object):
        monkeypatch.setattr(sys, "argv", ["evaluate_offline.py", "--threads=1", *map(str, arguments)])
        code = evaluate_offline.main()
        return code, capsys.readouterr()

    threads = torch.get_num_threads()
    yield call
    torch.set_num_threads(threads)


def train_config(checkpoint: Path, episodes: list[int] | None) -> None:
    content = {"dataset": {"repo_id": "test/swinging", "episodes": episodes}}
    (checkpoint / "train_config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(("save", "horizon"), [(save_prana, 16), (save_act, 12), (save_diffusion, 8)])
def test_any_policy_is_compared_with_its_held_out_episodes(save, horizon, dataset, tmp_path, evaluate):
    checkpoint = save(tmp_path / "pretrained_model")
    train_config(checkpoint, [0, 1])
    code, said = evaluate(checkpoint, "--dataset", dataset, "--stride=3", "--seeds=2", "--device=cpu")
    assert code == 0
    assert "not held out" not in said.err
    assert "1 episodes, 4 frames, 2 predictions each" in said.out
    output = tmp_path / "offline_evaluation"
    result = json.loads((output / "offline_evaluation.json").read_text())
    assert result["episodes"] == [2]
    assert set(result["mean_absolute_error"]) == set(NAMES)
    errors = np.array([result["mean_absolute_error_by_step"][name] for name in NAMES], dtype=float)
    assert errors.shape == (6, horizon)
    reached = min(horizon, 10)  # the episode has ten frames
    assert np.isfinite(errors[:, :reached]).all()
    assert np.isnan(errors[:, reached:]).all()
    spread = np.array([result["spread_over_seeds_by_step"][name] for name in NAMES], dtype=float)[:, :reached]
    assert spread.any() == (save is not save_act), "ACT draws nothing when it predicts"
    for name in ("error.png", "chunks.png"):
        with Image.open(output / name) as image:
            image.verify()


@pytest.mark.parametrize("save", [save_prana, save_diffusion])
def test_chunks_are_compared_with_the_actions_from_their_own_frames_time_on(save, dataset, tmp_path, monkeypatch):
    """Diffusion's items begin a step before. The policy is one that predicts the state it has observed last."""
    policy = load_policy(save(tmp_path / "policy"), "cpu")

    def keep_still(self, history, seed):
        return history[-1]["observation.state"][:, None].expand(-1, 8, -1)

    monkeypatch.setattr(LoadedPolicy, "predict_batch", keep_still)
    rows = [0, 13, 14, 20, 23]  # of episodes 0 and 2
    (samples,) = collect(policy, open_for(policy, str(dataset), [0, 2]), rows, seeds=1)
    table = open_dataset(str(dataset)).hf_dataset.with_format("numpy")
    actions, states = (np.split(np.stack(table[key][:]), [14, 26]) for key in ("action", "observation.state"))
    for n, (episode, frame) in enumerate([(0, 0), (0, 13), (2, 0), (2, 6), (2, 9)]):
        expected = actions[episode][frame : frame + 8]
        np.testing.assert_array_equal(samples.is_pad[n], np.arange(8) >= len(expected))
        np.testing.assert_array_equal(samples.demonstrated[n, : len(expected)], expected)
        np.testing.assert_array_equal(samples.predicted[0, n], np.tile(states[episode][frame], (8, 1)))


def test_episodes_that_were_trained_on_are_warned_about(dataset, tmp_path, evaluate, monkeypatch):
    for image in ("plot_error", "plot_chunks"):
        monkeypatch.setattr(evaluate_offline, image, lambda *_: None)  # a second each
    checkpoint = save_prana(tmp_path / "policy")
    train_config(checkpoint, [0, 1])
    code, said = evaluate(checkpoint, "--dataset", dataset, "--episodes=1-2", "--stride=9", "--seeds=1")
    assert code == 0
    assert "1 of 2 episodes are not held out" in said.err
    assert (tmp_path / "policy.offline_evaluation" / "offline_evaluation.json").is_file()
    train_config(checkpoint, None)
    code, said = evaluate(checkpoint, "--dataset", dataset, "--episodes=2", "--stride=9", "--seeds=1")
    assert code == 0
    assert "the checkpoint was trained on all episodes of test/swinging" in said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--episodes=7"], "--episodes names 7; .* has 0 to 2"),
        (["--dataset=nothing/here/x"], "'nothing/here/x' is no dataset"),
    ],
)
def test_bad_requests_are_one_sentence(arguments, sentence, dataset, tmp_path, evaluate):
    checkpoint = save_prana(tmp_path / "policy")
    code, said = evaluate(checkpoint, "--dataset", dataset, *arguments)
    assert code == 1
    last = said.err.strip().splitlines()[-1]
    assert last.startswith("evaluate_offline: ")
    assert re.search(sentence, last), last


def test_a_list_of_episodes():
    assert evaluate_offline.episode_list("3,7,90-93") == [3, 7, 90, 91, 92, 93]
    for text in ("", "a", "3-", "3,", "-2"):
        with pytest.raises(evaluate_offline.argparse.ArgumentTypeError, match="names no episodes"):
            evaluate_offline.episode_list(text)
