"""``prana twin`` as a process, its arms driven by LeRobot from the test."""

import dataclasses
import json
import math
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
from lerobot.teleoperators.so_leader import SO101Leader, SO101LeaderConfig
from support.lerobot_arms import be_patient, motors_bus
from support.lerobot_commands import python_path

from prana_ros.so101.calibration import position_range, read_calibration, twin_calibration
from prana_ros.so101.model import JOINTS

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
    content = {name: dataclasses.asdict(motor) for name, motor in twin_calibration([7] * 6).items()}
    path.write_text(json.dumps(content))
    process = processes.python(*COMMAND, "--link", str(tmp_path / "arm"), "--robot-id", "mine")
    process.must_end(1, within=90.0)
    assert "is the calibration of another arm" in process.output
    assert "Traceback" not in process.output
    assert json.loads(path.read_text()) == content


def tell(link: Path, line: str) -> None:
    """As `echo LINE > PATH_control` does."""
    Path(f"{link}_control").write_text(f"{line}\n")


def told(process, link: Path, line: str) -> None:
    tell(link, line)
    process.wait_for(f"^arm: {line}$")


def positions(bus) -> list[int]:
    return list(bus.sync_read("Present_Position", normalize=False).values())


def wait_until(condition, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_lerobot_calibrate_succeeds_with_the_hand_of_the_twin(processes, tmp_path):
    link, name = tmp_path / "arm", "calibrated_by_hand"
    twin = start(processes, link, "--offsets", "--hand", "middle")
    bus = motors_bus(link)
    bus.connect()
    bus.disable_torque()
    wait_until(lambda: np.abs(np.array(positions(bus))[[0, 1, 2, 3]] - 2047).max() < 10)
    bus.disconnect(disable_torque=False)

    calibrate = ask(processes, "lerobot_calibrate", link, name)
    calibrate.wait_for("to the middle of its range of motion and press ENTER", timeout=90.0)
    calibrate.press_enter()
    calibrate.wait_for("sequentially through their", timeout=60.0)
    told(twin, link, "hand sweep")
    ranges = [f"{joint.name} +" + r"\| +(-?\d+) \| +-?\d+ \| +(-?\d+)" for joint in JOINTS]
    full = [(joint.upper - joint.lower) / (2 * math.pi) * 4096 for joint in JOINTS]
    for joint, pattern, counts in zip(JOINTS, ranges, full, strict=True):
        if joint.name != "wrist_roll":
            wait_until(lambda p=pattern, c=counts: _widest(calibrate.output, p) > c - 12)
    calibrate.press_enter()
    calibrate.wait_for("Calibration saved to", timeout=60.0)
    calibrate.must_end(0, within=60.0)

    calibration = read_calibration(calibration_file("robots/so_follower", name))
    bus.connect()
    assert bus.read_calibration() == calibration
    bus.disconnect(disable_torque=False)
    lower, upper = position_range(calibration)
    arm = [0, 1, 2, 3]
    assert (upper - lower)[arm] == pytest.approx([JOINTS[i].upper - JOINTS[i].lower for i in arm], abs=0.03)
    assert all(abs(motor.homing_offset) > 30 for motor in calibration.values()), "the servos were askew"


def ask(processes, command: str, link: Path, robot_id: str):
    """Start a command of stock LeRobot that asks on the terminal, patient with a busy machine."""
    options = ("--robot.type=so101_follower", f"--robot.port={link}", f"--robot.id={robot_id}")
    environment = {**python_path(), "PRANA_TEST_PATIENCE_MS": "5000"}
    arguments = (sys.executable, "-m", "support.lerobot_commands", command, *options)
    return processes.start(*arguments, env=environment, asks=True)


def _widest(output: str, pattern: str) -> int:
    """How wide the last range is that LeRobot has shown; -1 before the first."""
    found = re.findall(pattern, output)
    return int(found[-1][1]) - int(found[-1][0]) if found else -1


def test_lerobot_setup_motors_gives_every_new_motor_its_id(processes, tmp_path):
    link = tmp_path / "arm"
    twin = start(processes, link, "--plugged", "6")
    setup = ask(processes, "lerobot_setup_motors", link, "new")
    for number, joint in reversed(list(enumerate(JOINTS, start=1))):
        setup.wait_for(f"Connect the controller board to the '{joint.name}' motor only", timeout=90.0)
        told(twin, link, f"plugged {number}")
        setup.press_enter()
        setup.wait_for(f"'{joint.name}' motor id set to {number}", timeout=60.0)
    setup.must_end(0, within=60.0)
    told(twin, link, "plugged 1 2 3 4 5 6")
    bus = motors_bus(link)
    bus.connect()
    assert sorted(bus.broadcast_ping() or {}) == [1, 2, 3, 4, 5, 6]
    bus.disconnect(disable_torque=False)


def test_a_leader_that_the_hand_moves_leads(processes, tmp_path):
    path = tmp_path / "wave.csv"
    header = "seconds,shoulder_pan,shoulder_lift,elbow_flex,wrist_flex,wrist_roll,gripper"
    path.write_text(f"{header}\n0,0,0,0,0,0,0\n1,0.5,0,0,0.2,0,0.7\n")
    link = tmp_path / "arm"
    start(processes, link, "--arms", "2", "--robot-id", "led", "--hand", str(path))
    robot = SO101Follower(SO101FollowerConfig(port=str(link), id="led"))
    teacher = SO101Leader(SO101LeaderConfig(port=f"{link}_leader", id="led"))
    for arm in (robot, teacher):
        be_patient(arm.bus)
        arm.connect(calibrate=True)

    def led() -> bool:
        robot.send_action(teacher.get_action())
        seen = robot.get_observation()
        return abs(seen["shoulder_pan.pos"] - math.degrees(0.5)) < 2.0 and abs(seen["gripper.pos"] - 45.6) < 4.0

    wait_until(led)
    teacher.disconnect()
    robot.disconnect()


def test_a_line_that_the_control_does_not_know_is_answered_with_one_sentence(processes, tmp_path):
    twin = start(processes, tmp_path / "arm")
    tell(tmp_path / "arm", "plugged 7")
    twin.wait_for("the arm's control got 'plugged 7'; allowed are 'hand middle'")
    tell(tmp_path / "arm", "hand nowhere.csv")
    twin.wait_for("The hand cannot read nowhere.csv: No such file or directory; allowed are middle, sweep or a file")
    told(twin, tmp_path / "arm", "hand off")
    twin.send(signal.SIGTERM)
    twin.must_end(0)
    assert not os.path.lexists(tmp_path / "arm_control")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--link", "/proc/none/arm"], "There is no folder /proc/none"),
        (["--link", "{tmp}/arm", "--seed", "-1"], "the seed is -1; it must be 0 or more"),
        (["--link", "{tmp}/arm", "--arms", "3"], "invalid choice"),
        (["--link", "{tmp}/file"], "not a symbolic link"),
        (["--link", "{tmp}/blocked"], "is not a pipe; the arm's control cannot go there"),
        (["--link", "{tmp}/arm", "--robot-id", "a/b"], "robot_id is 'a/b'"),
        (["--link", "{tmp}/arm", "--hand", "{tmp}/none"], "allowed are middle, sweep or a file"),
        (["--link", "{tmp}/arm", "--plugged", "7"], "invalid choice: 7"),
        (["--link", "{tmp}/arm", "--plugged", "1", "--offsets"], "not allowed with argument"),
        (["--link", "{tmp}/arm", "--plugged", "1", "--robot-id", "new"], "leave out --robot-id"),
    ],
)
def test_bad_arguments_get_one_sentence(processes, tmp_path, arguments, sentence):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "blocked_control").write_text("mine")
    process = processes.python(*COMMAND, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert process.wait(90.0) != 0
    assert sentence in process.output
    assert "Traceback" not in process.output
