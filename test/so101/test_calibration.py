"""Calibration files: LeRobot reads ours, we read LeRobot's, and what is wrong in one is named."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lerobot.motors import MotorCalibration
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig

from prana_ros.resources import packaged
from prana_ros.so101 import calibration as calib
from prana_ros.so101.calibration import CalibrationError
from prana_ros.so101.kinematics import position_limits
from prana_ros.so101.model import JOINT_NAMES


def content() -> dict[str, dict[str, int]]:
    return {name: dataclasses.asdict(motor) for name, motor in calib.twin_calibration().items()}


def lerobot_arm(folder, robot_id="arm") -> SO101Follower:
    return SO101Follower(SO101FollowerConfig(port="no-port", id=robot_id, calibration_dir=folder))


@given(st.data())
def test_what_is_written_is_read_back(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("calibration") / "deep" / "arm.json"
    motors = {}
    for number, (name, like) in enumerate(calib.twin_calibration().items(), start=1):
        low, high = (data.draw(st.integers(-120, 120)) + end for end in (like.range_min, like.range_max))
        low, high = max(low, 0), min(high, 4095)
        offset, drive_mode = data.draw(st.integers(-2047, 2047)), data.draw(st.integers(0, 1))
        motors[name] = MotorCalibration(number, drive_mode, offset, low, high)
    calib.write_calibration(motors, path)
    assert calib.read_calibration(path) == motors


def test_lerobot_reads_our_file(tmp_path):
    calib.write_calibration(calib.twin_calibration(), calib.calibration_path("arm", tmp_path))
    assert lerobot_arm(tmp_path).calibration == calib.twin_calibration()


def test_we_read_lerobots_file(tmp_path):
    arm = lerobot_arm(tmp_path)
    arm.calibration = calib.twin_calibration()
    arm._save_calibration()
    assert calib.read_calibration(tmp_path / "arm.json") == calib.twin_calibration()


@pytest.mark.parametrize("variable", ["HF_LEROBOT_CALIBRATION", "HF_LEROBOT_HOME", "HF_HOME"])
def test_the_file_is_where_lerobot_looks(tmp_path, variable):
    """In a process of its own: LeRobot reads its environment when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    program = (
        "from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig\n"
        "from prana_ros.so101.calibration import calibration_path\n"
        "arm = SO101Follower(SO101FollowerConfig(port='no-port', id='my_arm'))\n"
        "print(calibration_path('my_arm'))\n"
        "print(arm.calibration_fpath)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment | {variable: str(tmp_path)}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    ours, lerobots = run.stdout.split()
    assert ours == lerobots
    assert ours.startswith(str(tmp_path))


def test_twin_covers_the_urdfs_limits_about_its_zero():
    lower, upper = calib.position_range(calib.twin_calibration())
    wanted_lower, wanted_upper = position_limits()
    one_count = 2 * np.pi / 4095
    others = [0, 1, 2, 3, 5]
    np.testing.assert_allclose(lower[others], wanted_lower[others], atol=1.5 * one_count)
    np.testing.assert_allclose(upper[others], wanted_upper[others], atol=1.5 * one_count)
    assert lower[4] == pytest.approx(-np.pi)
    assert upper[4] == pytest.approx(np.pi)


def test_the_packaged_file_is_the_twins():
    path = calib.calibration_path("twin", packaged("config", "calibration"))
    assert calib.read_calibration(path) == calib.twin_calibration()


def test_range_is_ordered_when_the_gripper_runs_backwards():
    motors = calib.twin_calibration()
    motors["gripper"] = dataclasses.replace(motors["gripper"], drive_mode=1)
    lower, upper = calib.position_range(motors)
    assert (lower < upper).all()
    assert np.degrees([lower[5], upper[5]]) == pytest.approx([-10, 100])


def test_fingerprint_tells_calibrations_apart():
    motors = calib.twin_calibration()
    seen = {calib.fingerprint(motors)}
    for name in JOINT_NAMES:
        for field in ("drive_mode", "homing_offset", "range_min", "range_max"):
            changed = dict(motors)
            changed[name] = dataclasses.replace(motors[name], **{field: getattr(motors[name], field) ^ 1})
            seen.add(calib.fingerprint(changed))
    assert len(seen) == 1 + 6 * 4
    assert calib.fingerprint(dict(reversed(motors.items()))) == calib.fingerprint(motors)


@pytest.mark.parametrize(
    ("motor", "field", "value", "message"),
    [
        ("elbow_flex", "id", 7, "id of motor elbow_flex is 7; it must be 3"),
        ("gripper", "drive_mode", 2, "drive_mode of motor gripper is 2; it must be 0 or 1"),
        ("gripper", "homing_offset", 3000, "homing_offset of motor gripper is 3000; it must be from -2047 to 2047"),
        ("wrist_roll", "range_min", -5, "range_min of motor wrist_roll is -5; it must be from 0 to 4095"),
        ("wrist_flex", "range_max", 10, r"range_max of motor wrist_flex is 10; it must be above range_min \(967\)"),
        ("wrist_flex", "range_max", 4096, "range_max of motor wrist_flex is 4096; it must be"),
        ("shoulder_pan", "range_min", 1.5, "range_min of motor shoulder_pan is 1.5; it must be a whole number"),
        ("shoulder_pan", "range_min", None, "range_min of motor shoulder_pan is None; it must be a whole number"),
    ],
)
def test_impossible_values_are_named(tmp_path, motor, field, value, message):
    wrong = content()
    wrong[motor][field] = value
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(wrong))
    with pytest.raises(CalibrationError, match=message) as error:
        calib.read_calibration(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


RANGES_OF_REAL_ARMS = [
    # As their owners published them: pan, lift, elbow, wrist flex, wrist roll, gripper.
    [(743, 3458), (915, 3273), (154, 2334), (805, 3142), (66, 3894), (1456, 2901)],
    [(974, 3369), (820, 3231), (910, 3122), (920, 3228), (0, 4095), (1532, 2772)],
    [(758, 3447), (1360, 3746), (996, 3200), (577, 2913), (0, 4095), (1656, 3100)],
    [(994, 3064), (306, 2621), (1108, 3297), (731, 3210), (913, 3093), (2015, 3522)],
]


def with_ranges(ranges):
    motors = calib.twin_calibration()
    return {
        name: dataclasses.asdict(dataclasses.replace(motors[name], range_min=low, range_max=high))
        for name, (low, high) in zip(JOINT_NAMES, ranges, strict=True)
    }


@pytest.mark.parametrize("ranges", RANGES_OF_REAL_ARMS)
def test_the_ranges_of_real_arms_are_taken(tmp_path, ranges):
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(with_ranges(ranges)))
    motors = calib.read_calibration(path)
    assert [(motor.range_min, motor.range_max) for motor in motors.values()] == ranges


@pytest.mark.parametrize(
    ("motor", "low", "high", "message"),
    [
        ("shoulder_pan", 1922, 2172, r"2172, a travel of 250 counts \(22°\); an SO-101 has 1877 to 3253 .*sweep"),
        ("shoulder_lift", 2047, 3148, r"shoulder_lift is 2047 to 3148, a travel of 1101 counts \(97°\); an SO-101 has"),
        ("gripper", 2043, 2051, r"a travel of 8 counts \(1°\); an SO-101 has 938 to 1627"),
        ("gripper", 0, 4095, "a travel of 4095 counts"),
        ("elbow_flex", 0, 4095, "a travel of 4095 counts"),
        ("wrist_roll", 2000, 2100, "a travel of 100 counts"),
        ("shoulder_pan", 0, 2300, "with the middle at 1150; LeRobot's calibration leaves it between 1227 and 2867"),
        ("gripper", 2500, 3740, "with the middle at 3120; LeRobot's calibration leaves it .*calibrate again"),
    ],
)
def test_ranges_that_no_so101_has_are_refused(tmp_path, motor, low, high, message):
    wrong = content()
    wrong[motor] |= {"range_min": low, "range_max": high}
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(wrong))
    with pytest.raises(CalibrationError, match=message) as error:
        calib.read_calibration(path)
    assert motor in str(error.value)
    assert "\n" not in str(error.value)


def test_the_file_of_an_older_lerobot_is_pointed_to(tmp_path):
    older = tmp_path / "robots" / "so101_follower"
    calib.write_calibration(calib.twin_calibration(), older / "arm.json")
    path = calib.calibration_path("arm", tmp_path / "robots" / "so_follower")
    with pytest.raises(
        CalibrationError, match=rf"no calibration file {path}: an older LeRobot .* {older}; .*calibration_dir"
    ):
        calib.read_calibration(path)
    assert calib.read_calibration(calib.calibration_path("arm", older)) == calib.twin_calibration()


@pytest.mark.parametrize("folder", [".", "/", ".."])
def test_a_file_is_missed_in_any_folder_with_the_same_sentence(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CalibrationError, match="There is no calibration file"):
        calib.read_calibration(calib.calibration_path("no_such_arm", folder))


def test_other_files_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "arm.json"
    with pytest.raises(
        CalibrationError, match=r"no calibration file .*arm\.json: calibrate the arm with .*--robot\.id=arm"
    ):
        calib.read_calibration(path)
    with pytest.raises(CalibrationError, match="cannot be read: Is a directory"):
        calib.read_calibration(tmp_path)
    missing = content()
    del missing["gripper"]
    del_field = content()
    del del_field["gripper"]["range_max"]
    cases = {
        "": "is not JSON",
        "[1]": "it holds list; the motors must be shoulder_pan",
        "{}": "it holds no motor; the motors must be",
        json.dumps(missing): "the motors must be",
        json.dumps(del_field): "motor gripper holds .*; it needs id, drive_mode",
        '{"shoulder_pan": \x00': "is not JSON",
    }
    for text, message in cases.items():
        path.write_text(text)
        with pytest.raises(CalibrationError, match=message):
            calib.read_calibration(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CalibrationError, match="is not JSON"):
        calib.read_calibration(path)


def test_a_calibration_that_could_not_be_read_is_not_written(tmp_path):
    motors = calib.twin_calibration()
    motors["gripper"] = dataclasses.replace(motors["gripper"], range_min=4000)
    with pytest.raises(CalibrationError, match="range_max of motor gripper"):
        calib.write_calibration(motors, tmp_path / "arm.json")
    assert not (tmp_path / "arm.json").exists()


@pytest.mark.parametrize("robot_id", ["", "../arm", "a/b", ".hidden", "arm 1"])
def test_names_that_are_no_file_names_are_refused(robot_id):
    with pytest.raises(CalibrationError, match="robot_id is"):
        calib.calibration_path(robot_id)
