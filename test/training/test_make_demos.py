"""The command that writes demonstrations."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

SCRIPT = Path(__file__).parents[2] / "training/make_demos.py"


def make_demos(monkeypatch, *arguments: str) -> int:
    """The script's exit code. It runs here, not in a process that imports PyTorch anew; its own processes are real."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return ended.value.code


def test_it_writes_what_it_says(tmp_path, monkeypatch, capfd):
    root = tmp_path / "demos"
    flags = "--episodes=2", "--processes=1", "--scenes=hard,standard", "--camera-size=64x48"
    assert make_demos(monkeypatch, *flags, f"--root={root}") == 0
    out, err = capfd.readouterr()
    assert re.search(rf"2 episodes in {root}, \d+ a minute; 0 failed", out)
    assert "2/2" in err, "a progress bar"
    assert "libx264" not in err
    written = LeRobotDatasetMetadata("any/name", root=root)
    assert written.total_episodes == 2
    assert written.features["observation.images.wrist"]["shape"] == (48, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--episodes=0", "--root=new"], "--episodes and --processes must be at least 1"),
        (["--scenes=easy", "--root=new"], "unknown scenes 'easy'"),
        (["--fps=30", "--root=new"], "fps is 30; it must divide 100"),
        (["--scenes=hard,shifted", "--root=new"], "scenes 'shifted' are for reporting only"),
        (["--camera-size=320", "--root=new"], "'320' is no size: write WIDTHxHEIGHT"),
        (["--root=old"], "old exists already"),
    ],
)
def test_bad_requests_are_one_sentence(arguments, sentence, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    assert make_demos(monkeypatch, *arguments) != 0
    err = capfd.readouterr().err
    assert sentence in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["old"], "nothing is written"
