"""`prana check` on real checkpoints."""

import pytest
from support.checkpoints import save_act, save_prana
from support.policies import NAMES

from prana_ros.cli import main


def check(capsys, *arguments: str) -> tuple[int | str, str]:
    with pytest.raises(SystemExit) as ending:
        main(["check", *map(str, arguments)])
    return ending.value.code, capsys.readouterr().out


def test_a_prana_checkpoint_says_what_it_expects_and_fits(tmp_path, capsys):
    code, output = check(capsys, save_prana(tmp_path / "c"), "--cameras", "wrist,table")
    assert code == 0
    lines = {line[:14].strip(): line[14:] for line in output.splitlines() if line}
    assert lines["policy"] == "prana_v2"
    assert lines["joints"] == ", ".join(NAMES)
    assert lines["units"] == "degrees"
    assert lines["rate"] == "10 actions a second"
    assert "camera        table, 64x48x3\ncamera        wrist, 64x48x3" in output
    assert lines["fits"] == "yes"


def test_missing_cameras_and_unfitted_noise_are_told(tmp_path, capsys):
    code, output = check(capsys, save_prana(tmp_path / "c", fitted=False), "--cameras", "front")
    assert code == 1
    assert "needs camera table, wrist, this robot has front" in output
    assert "noise_is_fitted is false" in output


def test_another_policy_fits_once_it_is_told_what_it_does_not_say(tmp_path, capsys):
    folder = save_act(tmp_path / "c")
    code, output = check(capsys, folder)
    assert code == 1
    assert output.count("does not fit") == 3
    code, output = check(capsys, folder, "--joint-names", ",".join(NAMES), "--units", "degrees", "--fps", "30")
    assert code == 0
    assert "fits          yes, if the robot has these cameras" in output


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path, capsys):
    code, _ = check(capsys, tmp_path / "nowhere")
    assert str(code).startswith("prana: policy_path ")
    assert str(code).endswith("download a checkpoint from a hub first.")
