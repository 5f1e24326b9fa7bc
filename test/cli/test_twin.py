"""``prana twin`` as a process, its arms driven by LeRobot from the test."""

import json
import os
import signal
from pathlib import Path

import pytest
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
from lerobot.teleoperators.so_leader import SO101Leader, SO101LeaderConfig
from support.lerobot_arms import be_patient, motors_bus

COMMAND = ("-c", "from prana_ros.cli import main; main()", "twin")


def start(processes, link: Path, *options: str):
    process = processes.python(*COMMAND, "--link", str(link), *options)
    process.wait_for("Ctrl-C ends the twin", timeout=90.0)
    return process


def calibration_file(kind: str, name: str) -> Path:
    return Path(os.environ["HF_LEROBOT_CALIBRATION"], kind, f"{name}.json")


def test_lerobot_uses_two_arms_without_asking_for_a_calibration(processes, tmp_path):
    process = start(processes, tmp_path / "arm", "--arms", "2", "--robot-id", "two_arms", "--seed", "3")
    robot = SO101Follower(SO101FollowerConfig(port=str(tmp_path / "arm"), id="two_arms"))
    teacher = SO101Leader(SO101LeaderConfig(port=str(tmp_path / "arm_leader"), id="two_arms"))
    for arm in (robot, teacher):
        be_patient(arm.bus)
        # Would ask on the terminal if the file and the servos did not agree.
        arm.connect(calibrate=True)
    robot.send_action(teacher.get_action())
    teacher.disconnect()
    robot.disconnect()
    process.send(signal.SIGINT)
    process.must_end(0)
    assert os.listdir(tmp_path) == [] or not any(path.is_symlink() for path in tmp_path.iterdir())


def test_sigterm_removes_the_link_and_sigkill_leaves_one_that_the_next_replaces(processes, tmp_path):
    link = tmp_path / "arm"
    start(processes, link).send(signal.SIGKILL)
    assert link.is_symlink()
    process = start(processes, link)
    bus = motors_bus(link)
    bus.connect()
    bus.disconnect()
    process.send(signal.SIGTERM)
    process.must_end(0)
    assert not os.path.lexists(link)


def test_the_calibration_of_another_arm_is_not_touched(processes, tmp_path):
    path = calibration_file("robots/so_follower", "mine")
    path.parent.mkdir(parents=True, exist_ok=True)
    motors = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
    content = {
        name: {"id": number, "drive_mode": 0, "homing_offset": 7, "range_min": 900, "range_max": 3000}
        for number, name in enumerate(motors, start=1)
    }
    path.write_text(json.dumps(content))
    process = processes.python(*COMMAND, "--link", str(tmp_path / "arm"), "--robot-id", "mine")
    process.must_end(1, within=90.0)
    assert "is the calibration of another arm" in process.output
    assert "Traceback" not in process.output
    assert json.loads(path.read_text()) == content


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--link", "/proc/none/arm"], "There is no folder /proc/none"),
        (["--link", "{tmp}/arm", "--seed", "-1"], "the seed is -1; it must be 0 or more"),
        (["--link", "{tmp}/arm", "--arms", "3"], "invalid choice"),
        (["--link", "{tmp}/file"], "not a symbolic link"),
        (["--link", "{tmp}/arm", "--robot-id", "a/b"], "robot_id is 'a/b'"),
    ],
)
def test_bad_arguments_get_one_sentence(processes, tmp_path, arguments, sentence):
    (tmp_path / "file").write_text("mine")
    process = processes.python(*COMMAND, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert process.wait(90.0) != 0
    assert sentence in process.output
    assert "Traceback" not in process.output
