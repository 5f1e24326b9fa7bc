"""`prana check` on real checkpoints."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from support.checkpoints import FEATURES, save_act, save_prana
from support.policies import KINDS, NAMES

from prana_ros.cli import main


def check(capsys, *arguments: str) -> tuple[int | str, str]:
    with pytest.raises(SystemExit) as ending:
        main(["check", *map(str, arguments)])
    return ending.value.code, capsys.readouterr().out


def parameters(folder: Path) -> int:
    """Numbers in the file of weights; the noise's matrices are none of the network's."""
    with safe_open(folder / "model.safetensors", framework="np") as file:
        return sum(np.prod(file.get_slice(key).get_shape()) for key in file.keys() if not key.startswith("noise."))  # noqa: SIM118


@pytest.mark.parametrize("kind", KINDS)
def test_a_prana_checkpoint_says_what_it_expects_and_fits(tmp_path, capsys, kind):
    # Wide enough that a tenth of a million parameters tells something.
    folder = save_prana(tmp_path / "c", kind, dim=128)
    code, output = check(capsys, folder, "--cameras", "wrist,table")
    assert code == 0, output
    lines = {line[:14].strip(): line[14:] for line in output.splitlines() if line}
    assert lines["policy"] == kind
    assert lines["parameters"] == f"{parameters(folder) / 1e6:.1f} million"
    assert lines["backbone"] == "small_cnn at 32x32"
    assert lines["chunk"].startswith("16 actions, ignores" if kind == "prana_v1" else "16 actions, goes on from")
    assert lines.get("denoising") == (None if kind == "prana_v1" else "4 steps")
    assert lines["noise"] == ("none" if kind == "prana_v1" else "no objection")
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


def test_the_cameras_of_a_checkpoint_may_have_other_names_on_the_robot(tmp_path, capsys):
    keys = {"table": "Top-View", "wrist": "cam.high"}
    inputs = {**FEATURES}
    for camera, key in keys.items():
        inputs[f"observation.images.{key}"] = inputs.pop(f"observation.images.{camera}")
    folder = save_prana(tmp_path / "c", input_features=inputs)
    code, output = check(capsys, folder, "--cameras", "table,wrist")
    assert code == 1
    assert "does not fit  The policy's camera 'Top-View' cannot be the name of a ROS topic" in output
    code, output = check(
        capsys, folder, "--cameras", "table,wrist", "--camera-keys", ",".join(map("=".join, keys.items()))
    )
    assert code == 0, output
    assert "camera        table, 64x48x3\ncamera        wrist, 64x48x3" in output
    assert "fits          yes\n" in output


def test_another_policy_fits_once_it_is_told_what_it_does_not_say(tmp_path, capsys):
    folder = save_act(tmp_path / "c")
    code, output = check(capsys, folder)
    assert code == 1
    assert output.count("does not fit") == 3
    assert "set joint_names in config/policy.yaml (prana check: --joint-names) to those of its" in output
    assert "backbone      resnet18\n" in output
    assert "noise         none\n" in output
    code, output = check(capsys, folder, "--joint-names", ",".join(NAMES), "--units", "degrees", "--fps", "30")
    assert code == 0
    assert "fits          yes, if the robot has these cameras" in output


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path, capsys):
    code, _ = check(capsys, tmp_path / "nowhere")
    assert str(code).startswith("prana: policy_path ")
    assert str(code).endswith("download a checkpoint from a hub first.")
