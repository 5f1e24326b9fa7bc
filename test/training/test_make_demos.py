"""The command that writes demonstrations."""

import subprocess
import sys
from pathlib import Path

import pytest
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

ROOT = Path(__file__).parents[2]


def make_demos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "training/make_demos.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def test_it_writes_what_it_says(tmp_path):
    root = tmp_path / "demos"
    done = make_demos("--episodes=2", f"--root={root}", "--processes=1", "--scenes=hard")
    assert done.returncode == 0, done.stderr
    assert f"2 episodes in {root}" in done.stdout
    assert "libx264" not in done.stderr
    assert LeRobotDatasetMetadata("any/name", root=root).total_episodes == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--episodes=0", "--root=new"], "--episodes and --processes must be at least 1"),
        (["--scenes=easy", "--root=new"], "invalid choice: 'easy'"),
        (["--fps=30", "--root=new"], "fps is 30; it must divide 100"),
        (["--root=training"], "training exists already"),
    ],
)
def test_bad_requests_are_one_sentence(arguments, sentence):
    done = make_demos(*arguments)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
