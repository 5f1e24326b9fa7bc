"""LeRobot's calibration files: where they lie, reading, writing, and what they say about the arm's range.

A file is JSON, ``{motor: {id, drive_mode, homing_offset, range_min, range_max}}``; counts are the servo's
(``range_min`` and ``range_max`` as Present_Position shows them, homing offset included).
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from lerobot.motors import MotorCalibration
from lerobot.utils.constants import HF_LEROBOT_CALIBRATION, ROBOTS
from numpy.typing import NDArray

from prana_ros.so101.model import JOINT_NAMES, JOINTS, Joint
from prana_ros.so101.units import COUNTS_PER_TURN, counts_to_radians

__all__ = [
    "CalibrationError",
    "MotorCalibration",
    "calibration_path",
    "fingerprint",
    "position_range",
    "read_calibration",
    "twin_calibration",
    "write_calibration",
]

HOMING_LIMIT = 2047
"""Homing_Offset is a sign and eleven bits."""

_FIELDS = tuple(field.name for field in dataclasses.fields(MotorCalibration))
_HALF_TURN = 2047
"""Where LeRobot's homing puts the middle of the range: int(4095 / 2)."""
_MIDDLE_TOLERANCE = 820
"""Counts (72°) by which the middle of a range may miss ``_HALF_TURN``.

The user judges the middle by eye, and nothing depends on it: LeRobot's zero is the middle of what was swept.
Calibrations in public repositories miss it by up to 803 counts in an arm joint, and by 721 in the gripper, which many
close for the homing. The sweep begins at ``_HALF_TURN``, so more than about half the travel means that the file is of
another kind.
"""
_SHORTEST_TRAVEL = 0.75
_LONGEST_TRAVEL = 1.3
"""Parts of the URDF's travel. Public calibrations have 0.83 (a pan kept on its table) to 1.09 in the pan, 0.99 to 1.15
in the other arm joints and 0.99 to 1.20 in the gripper. A sweep that is a little short cannot be told from an arm that
stands in a corner; the driver compares the arm's position with the range before it switches torque on.
"""
_SHORTEST_ROLL = 0.5
"""Of ``wrist_roll``: LeRobot gives it the whole turn, older programs what was swept, some only 90° to each side."""


class CalibrationError(ValueError):
    """A calibration is missing or cannot be right; the message is one sentence for the user."""


def calibration_path(robot_id: str, directory: str | Path | None = None) -> Path:
    """The calibration file of an SO-101 follower arm, where LeRobot keeps it.

    Args:
        robot_id: the arm's name, LeRobot's ``--robot.id``.
        directory: folder of the file; by default ``$HF_LEROBOT_CALIBRATION/robots/so_follower``.

    Raises:
        CalibrationError: if ``robot_id`` cannot name a file.
    """
    if not re.fullmatch(r"\w[\w.\-]*", robot_id):
        raise CalibrationError(
            f"robot_id is {robot_id!r}; it names the calibration file and may hold letters, digits, '_', '-' and '.'."
        )
    folder = Path(directory).expanduser() if directory else HF_LEROBOT_CALIBRATION / ROBOTS / "so_follower"
    return folder / f"{robot_id}.json"


def read_calibration(path: str | Path) -> dict[str, MotorCalibration]:
    """Read and check a calibration file.

    Returns:
        Calibration by motor name, in the order of ``JOINT_NAMES``.

    Refused, too, are ranges that no SO-101 has: a travel far from the URDF's, or a middle far from where LeRobot's
    homing puts it. Such a file is of another arm, or its sweep was not finished.

    Raises:
        CalibrationError: if the file is missing, is no calibration of an SO-101, or holds impossible values.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CalibrationError(f"There is no calibration file {path}: {_where_else(path)}") from None
    except OSError as error:
        raise CalibrationError(f"The calibration file {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CalibrationError(f"The calibration file {path} is not JSON: {error}.") from None
    try:
        return _calibration_from(content)
    except CalibrationError as error:
        raise CalibrationError(f"The calibration file {path} is not one of an SO-101: {error}") from None


def write_calibration(calibration: Mapping[str, MotorCalibration], path: str | Path) -> None:
    """Write a calibration file as LeRobot does, creating its folder.

    Raises:
        CalibrationError: if the calibration could not be read back.
    """
    content = {name: dataclasses.asdict(motor) for name, motor in calibration.items()}
    checked = _calibration_from(content)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {name: dataclasses.asdict(motor) for name, motor in checked.items()}
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")


def fingerprint(calibration: Mapping[str, MotorCalibration]) -> str:
    """Sixteen hexadecimal digits that differ between calibrations: the start of the SHA-256 of their values."""
    values = [[name, *dataclasses.astuple(calibration[name])] for name in JOINT_NAMES]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def position_range(calibration: Mapping[str, MotorCalibration]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest joint angle of the calibrated range, two arrays (6,) in rad, whatever ``drive_mode`` is."""
    ends = np.array([[calibration[name].range_min, calibration[name].range_max] for name in JOINT_NAMES]).T
    angles = counts_to_radians(ends, calibration)
    return angles.min(axis=0), angles.max(axis=0)


def twin_calibration(homing_offsets: Sequence[int] = (0,) * len(JOINTS)) -> dict[str, MotorCalibration]:
    """The calibration of the simulated arm: the middle of each range is the URDF's zero, its ends the URDF's limits.

    As LeRobot calibrates: ``wrist_roll`` has the whole turn, and the gripper runs from closed to open.

    Args:
        homing_offsets: of the six servos, in counts; 0 where the middle of the servo's turn is that of the range.
    """
    calibration = {}
    for number, (joint, offset) in enumerate(zip(JOINTS, homing_offsets, strict=True), start=1):
        half = int((joint.upper - joint.lower) / 2.0 * COUNTS_PER_TURN / (2.0 * np.pi))
        lower, upper = _HALF_TURN - half, _HALF_TURN + half
        if joint.name == "wrist_roll":
            lower, upper = 0, COUNTS_PER_TURN
        calibration[joint.name] = MotorCalibration(
            id=number, drive_mode=0, homing_offset=offset, range_min=lower, range_max=upper
        )
    return calibration


def _where_else(path: Path) -> str:
    """What to do without the file ``path``: older releases of LeRobot keep it in the folder of another robot type."""
    older = path.absolute().parent.parent / "so101_follower" / path.name
    if older.is_file():
        return f"an older LeRobot has put one into {older.parent}; copy it, or name that folder by calibration_dir."
    return (
        f"calibrate the arm with lerobot-calibrate --robot.type=so101_follower --robot.id={path.stem}, or name the "
        "folder of its file by calibration_dir."
    )


def _calibration_from(content: object) -> dict[str, MotorCalibration]:
    """Check decoded JSON and make calibrations of it, in the order of the joints."""
    if not isinstance(content, dict) or set(content) != set(JOINT_NAMES):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise CalibrationError(f"it holds {found or 'no motor'}; the motors must be {', '.join(JOINT_NAMES)}.")
    return {name: _motor_from(name, number, content[name]) for number, name in enumerate(JOINT_NAMES, start=1)}


def _motor_from(name: str, number: int, values: object) -> MotorCalibration:
    if not isinstance(values, dict) or set(values) != set(_FIELDS):
        raise CalibrationError(f"motor {name} holds {values!r}; it needs {', '.join(_FIELDS)}.")
    for field, value in values.items():
        if type(value) is not int:
            raise CalibrationError(f"{field} of motor {name} is {value!r}; it must be a whole number.")
    motor = MotorCalibration(**values)
    checks = {
        "id": (motor.id, motor.id == number, f"{number}"),
        "drive_mode": (motor.drive_mode, motor.drive_mode in (0, 1), "0 or 1"),
        "homing_offset": (
            motor.homing_offset,
            abs(motor.homing_offset) <= HOMING_LIMIT,
            f"from -{HOMING_LIMIT} to {HOMING_LIMIT}",
        ),
        "range_min": (motor.range_min, 0 <= motor.range_min <= COUNTS_PER_TURN, f"from 0 to {COUNTS_PER_TURN}"),
        "range_max": (
            motor.range_max,
            motor.range_min < motor.range_max <= COUNTS_PER_TURN,
            f"above range_min ({motor.range_min}) and at most {COUNTS_PER_TURN}",
        ),
    }
    for field, (value, holds, allowed) in checks.items():
        if not holds:
            raise CalibrationError(f"{field} of motor {name} is {value}; it must be {allowed}.")
    _check_range(JOINTS[number - 1], motor)
    return motor


def _check_range(joint: Joint, motor: MotorCalibration) -> None:
    """Refuse a range that this joint of an SO-101 cannot have."""
    counts = (joint.upper - joint.lower) / (2.0 * np.pi) * COUNTS_PER_TURN
    shortest, longest = round(counts * _SHORTEST_TRAVEL), round(counts * _LONGEST_TRAVEL)
    if joint.name == "wrist_roll":
        shortest, longest = round(counts * _SHORTEST_ROLL), COUNTS_PER_TURN
    travel = motor.range_max - motor.range_min
    swept = f"the range of motor {joint.name} is {motor.range_min} to {motor.range_max}"
    again = "calibrate again and sweep the whole range."
    if not shortest <= travel <= longest:
        raise CalibrationError(
            f"{swept}, a travel of {travel} counts ({_degrees(travel)}); an SO-101 has {shortest} to {longest} "
            f"({_degrees(shortest)} to {_degrees(longest)}) there: {again}"
        )
    middle = (motor.range_min + motor.range_max) / 2.0
    if abs(middle - _HALF_TURN) > _MIDDLE_TOLERANCE:
        raise CalibrationError(
            f"{swept}, with the middle at {middle:.0f}; LeRobot's calibration leaves it between "
            f"{_HALF_TURN - _MIDDLE_TOLERANCE} and {_HALF_TURN + _MIDDLE_TOLERANCE}: {again}"
        )


def _degrees(counts: float) -> str:
    return f"{counts / COUNTS_PER_TURN * 360.0:.0f}°"
