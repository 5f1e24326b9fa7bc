"""The evaluation commands on real checkpoints with random weights, and on made results."""

import json
import signal
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from support.checkpoints import save_act, save_diffusion, save_prana
from support.episodes import episode, evaluation
from support.scripts import load_script

from prana_ros.evaluation.result import read_evaluation, write_evaluation

pytestmark = pytest.mark.usefixtures("starts_processes")

ROOT = Path(__file__).parents[2]
SHORT = ["--episodes=2", "--time-limit=0.8", "--seed=5", "--processes=1"]
evaluate_script = load_script("training/evaluate.py")
compare_script = load_script("training/compare.py")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a script in this process; returns its exit code and what it wrote."""
    threads = torch.get_num_threads()

    def call(script, *arguments: object):
        monkeypatch.setattr(sys, "argv", ["script.py", *map(str, arguments)])
        try:
            code = script.main()
        except SystemExit as ended:
            code = ended.code
        return code, capsys.readouterr()

    yield call
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_prana(tmp_path_factory.mktemp("evaluate") / "run" / "checkpoints" / "last" / "pretrained_model")


def test_prana_act_diffusion_and_the_expert_are_compared(checkpoint, tmp_path, run):
    policies = [checkpoint, save_act(tmp_path / "act"), save_diffusion(tmp_path / "diffusion"), "expert"]
    output = tmp_path / "results"
    code, said = run(evaluate_script, "--policy", *policies, "--fps=10", f"--output={output}", *SHORT)
    assert code == 0, said.err
    result = json.loads((output / "run.json").read_text())
    assert [row["seed"] for row in result["episodes"]] == [5, 6]
    assert {row["outcome"] for row in result["episodes"]} == {"missed"}
    assert result["policy"]["type"] == "prana_v2"
    assert result["policy"]["weights"] == sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()[:16]
    assert result["playback"] == {"execute_steps": 8, "asynchronous": False, "latency": 0.0}
    assert result["seconds"] > 0
    # Wilson's interval for 0 of n is 0 … z²/(n + z²).
    z = 1.959964
    assert result["summary"]["success_rate_95"] == pytest.approx([0, z**2 / (2 + z**2)], abs=1e-6)
    assert read_evaluation(output / "expert.json").successes == 2
    names = ["run", "act", "diffusion", "expert"]
    rows = [line.split()[:2] for line in said.out.splitlines()]
    assert all([name, "2/2" if name == "expert" else "0/2"] in rows for name in names)
    assert all([first, second] in rows for i, first in enumerate(names) for second in names[i + 1 :])
    images = {path.name for path in output.glob("*.png")}
    assert images == {
        *("success.png", "time_to_success.png", "smoothness.png"),
        *(f"{name}_failures_1.png" for name in names[:3]),
    }
    alone = ["--no-strips", "--no-reference", f"--output={tmp_path / 'alone'}"]
    assert run(evaluate_script, "--policy", checkpoint, *alone, *SHORT)[0] == 0
    again = read_evaluation(tmp_path / "alone" / "run.json").episodes
    assert again == read_evaluation(output / "run.json").episodes, "alone, not filmed, a second time: the same episodes"
    assert not list((tmp_path / "alone").glob("*failures*"))


def test_ctrl_c_reports_what_was_run(checkpoint, tmp_path, processes):
    """As a process, as it is started by hand."""
    output = tmp_path / "results"
    many = ["--episodes=500", "--time-limit=0.2", "--no-strips", "--no-reference", "--worlds=1", "--processes=1"]
    process = processes.start(
        sys.executable, "training/evaluate.py", "--policy", checkpoint, *many, f"--output={output}", cwd=ROOT
    )
    process.wait_for(r"\b[1-9]\d*/500", timeout=120.0)
    process.send(signal.SIGINT)
    process.must_end(130, within=60.0)
    result = read_evaluation(output / "run.json")
    assert 1 <= len(result.episodes) < 500
    assert f"run was broken off after {len(result.episodes)} of 500 scenes" in process.output
    assert "Traceback" not in process.output
    assert (output / "success.png").exists()


def test_a_policy_for_another_robot_is_refused(tmp_path, run):
    names = ["elbow_flex", "shoulder_lift", "shoulder_pan", "wrist_flex", "wrist_roll", "gripper"]
    code, said = run(evaluate_script, "--policy", save_prana(tmp_path / "other", joint_names=names), *SHORT)
    assert code == 1
    assert "elbow_flex" in said.err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--policy", "no/such/checkpoint"], "policy_path 'no/such/checkpoint' is not a folder"),
        (["--policy", "expert", "expert"], "expert is named twice"),
        (["--policy", "{act}"], "does not say at which rate it was trained; give its frames a second as --fps"),
        (["--policy", "{checkpoint}", "--fps=30"], "was trained at 10 frames a second, but --fps is 30"),
        (["--policy", "{checkpoint}", "--execute-steps=17"], "execute_steps is 17; it must be at most 16"),
        (["--policy", "{checkpoint}", "--asynchronous", "--latency=2"], "the latency is 2 s; it must be at most 1.5 s"),
        (["--policy", "expert", "--seed=999999", "--episodes=2"], "those above were used for training"),
        (["--policy", "expert", "--episodes=0"], "'0' is not a whole number of 1 or more"),
        (["--policy", "expert", "--time-limit=-1"], "'-1' is not a number above 0"),
        (["--policy", "expert", "--latency=-0.1"], "the latency is -0.1 s; it must be 0 or more"),
        (["--policy", "expert", "--runner=graph"], "the expert is no checkpoint that the graph could run"),
        (["--policy", "a", "--runner=graph", "--latency=0.2"], "--latency says how lock-step plays chunks"),
        (["--policy", "a", "--real-time-factor=1"], "--real-time-factor belongs to --runner graph"),
        (["--policy", "a", "--params-file=p.yaml"], "--params-file belongs to --runner graph"),
        (["--policy", "a", "--runner=graph", "--real-time-factor=2"], "--real-time-factor is 2; it must be at most 1"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_sentence(arguments, sentence, checkpoint, tmp_path, run):
    act = save_act(tmp_path / "act") if "{act}" in arguments else ""
    filled = [argument.format(checkpoint=checkpoint, act=act) for argument in arguments]
    output = tmp_path / "results"
    code, said = run(evaluate_script, *filled, f"--output={output}")
    assert code in (1, 2)
    assert sentence in said.err.strip().splitlines()[-1]
    assert not output.exists()


def test_kept_results_are_compared(tmp_path, run):
    for name, failures in (("v2", 1), ("act", 3)):
        made = [episode(seed, "missed" if seed < failures else "success") for seed in range(10)]
        write_evaluation(evaluation(made, name), tmp_path / f"{name}.json")
    code, said = run(compare_script, tmp_path / "v2.json", tmp_path / "act.json", "--output", tmp_path / "pair")
    assert code == 0, said.err
    assert "+20.0 points" in said.out
    (pair,) = json.loads((tmp_path / "pair" / "comparison.json").read_text())
    assert pair["success"]["only_first"] == 2
    assert (tmp_path / "pair" / "success.png").exists()


def test_results_of_one_name_are_told_apart(tmp_path, run):
    for folder in ("lockstep", "graph"):
        (tmp_path / folder).mkdir()
        write_evaluation(evaluation([episode(0)], "v2"), tmp_path / folder / "v2.json")
    code, said = run(compare_script, tmp_path / "lockstep" / "v2.json", tmp_path / "graph" / "v2.json")
    assert code == 0, said.err
    assert "lockstep_v2" in said.out
    assert "graph_v2" in said.out


def test_results_that_cannot_be_compared_are_refused_in_one_sentence(tmp_path, run):
    write_evaluation(evaluation([episode(0)], "v2"), tmp_path / "v2.json")
    write_evaluation(evaluation([episode(1)], "act"), tmp_path / "act.json")
    code, said = run(compare_script, tmp_path / "v2.json", tmp_path / "act.json")
    assert (code, said.err.count("\n")) == (1, 1)
    assert "v2 was given hard scenes 0 to 0 and act hard scenes 1 to 1" in said.err
    code, said = run(compare_script, tmp_path / "v2.json")
    assert (code, said.err) == (1, "compare: 1 result cannot be compared; two or more are needed\n")
