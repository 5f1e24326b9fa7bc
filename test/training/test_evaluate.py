"""The evaluation command on real checkpoints with random weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.checkpoints import save_prana
from support.scripts import load_script

ROOT = Path(__file__).parents[2]
SHORT = ["--episodes=3", "--time-limit=0.8", "--seed=5"]
script = load_script("training/evaluate.py")


@pytest.fixture
def evaluate(monkeypatch, capsys):
    """Run the command in this process; returns its exit code and what it wrote."""
    threads = torch.get_num_threads()

    def call(*arguments: str):
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *arguments])
        try:
            code = script.main()
        except SystemExit as ended:
            code = ended.code
        return code, capsys.readouterr()

    yield call
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_prana(tmp_path_factory.mktemp("evaluate") / "checkpoint")


def test_it_states_every_outcome_and_the_interval(checkpoint, tmp_path):
    """As a process, as it is started by hand."""
    output = tmp_path / "results" / "evaluation.json"
    command = [sys.executable, "training/evaluate.py", str(checkpoint), *SHORT, f"--output={output}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    assert [run["seed"] for run in result["runs"]] == [5, 6, 7]
    assert all(run["chunks"] == 1 for run in result["runs"])
    assert result["successes"] == 0
    # Wilson's interval for 0 of n is 0 … z²/(n + z²).
    z = 1.959964
    assert result["wilson_95"] == pytest.approx([0, z**2 / (3 + z**2)], abs=1e-6)
    assert sum(result["outcomes"].values()) == 3
    assert "0 of 3 succeeded (0% to 56% at 95 %)" in done.stdout


def test_random_weights_repeat_by_seed(checkpoint, tmp_path, evaluate):
    runs = []
    for name in ("a", "b"):
        output = tmp_path / name
        assert evaluate(str(checkpoint), *SHORT, f"--output={output}")[0] == 0
        runs.append(json.loads(output.read_text())["runs"])
    assert runs[0] == runs[1]


def test_a_missing_checkpoint_is_one_sentence(evaluate):
    code, said = evaluate("no/such/checkpoint", *SHORT)
    assert code == 1
    assert said.err.strip().splitlines()[-1].startswith("policy_path 'no/such/checkpoint' is not a folder")


def test_a_policy_for_another_robot_is_refused(tmp_path, evaluate):
    names = ["elbow_flex", "shoulder_lift", "shoulder_pan", "wrist_flex", "wrist_roll", "gripper"]
    code, said = evaluate(str(save_prana(tmp_path / "other", joint_names=names)), *SHORT)
    assert code == 1
    assert "elbow_flex" in said.err.strip().splitlines()[-1]


def test_training_scenes_cannot_be_asked_for(checkpoint, evaluate):
    code, said = evaluate(str(checkpoint), "--seed=1000000", "--episodes=1")
    assert code == 2
    assert "those above were used for training" in said.err
