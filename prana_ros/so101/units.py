"""The one place where joint units change: radians (ROS), LeRobot's units (datasets, checkpoints), servo counts.

LeRobot's units, for arrays (..., 6) in the order of ``JOINT_NAMES``:

- ``Units.DEGREES`` (LeRobot 0.5.1's default): degrees for the five arm joints, zero at the middle of the
  calibrated range, which is the URDF's zero; signs are the URDF's.
- ``Units.M100_100`` (older datasets): -100 … 100 over each arm joint's calibrated range, so the conversion needs
  the calibration of the arm that recorded the data.

In both the gripper is 0 … 100, over -10° (closed) … 100° (open).

Counts are the servo's Present_Position and Goal_Position. LeRobot 0.5.1 takes 4095, not 4096, counts for a turn;
so does this module, because data recorded by LeRobot must read the same here.
"""

from collections.abc import Mapping
from enum import Enum

import numpy as np
from lerobot.motors import MotorCalibration
from numpy.typing import ArrayLike, NDArray

from prana_ros.so101.model import JOINT_NAMES

Array = NDArray[np.float64]
Calibration = Mapping[str, MotorCalibration]


class Units(Enum):
    """Units of the arm joints in a dataset or a checkpoint; the values are the names written there."""

    DEGREES = "degrees"
    M100_100 = "m100_100"


LEROBOT_UNITS = Units.DEGREES
"""The units that LeRobot 0.5.1 records by default, and this project records."""

GRIPPER_CLOSED = float(np.radians(-10.0))
GRIPPER_OPEN = float(np.radians(100.0))
"""The gripper's angles (rad) at LeRobot's 0 and 100."""

COUNTS_PER_TURN = 4095
"""LeRobot's count of a whole turn of an STS3215 (its resolution less one)."""

_ARM = slice(0, 5)
_GRIPPER = 5
_GRIPPER_SPAN = GRIPPER_OPEN - GRIPPER_CLOSED
_RADIANS_PER_COUNT = 2.0 * np.pi / COUNTS_PER_TURN


def radians_to_lerobot(q: ArrayLike, units: Units = LEROBOT_UNITS, calibration: Calibration | None = None) -> Array:
    """Joint angles (..., 6) in rad as LeRobot's units (..., 6), linearly and without clamping.

    Raises:
        ValueError: if the last dimension is not 6, or -100 … 100 is asked for without a calibration.
    """
    result = _joints(q)
    result[..., _ARM] /= _radians_per_unit(units, calibration)
    result[..., _GRIPPER] = (result[..., _GRIPPER] - GRIPPER_CLOSED) / _GRIPPER_SPAN * 100.0
    return result


def lerobot_to_radians(a: ArrayLike, units: Units = LEROBOT_UNITS, calibration: Calibration | None = None) -> Array:
    """LeRobot's units (..., 6) as joint angles (..., 6) in rad: the inverse of ``radians_to_lerobot``.

    Raises:
        ValueError: if the last dimension is not 6, or the data are -100 … 100 and no calibration is given.
    """
    result = _joints(a)
    result[..., _ARM] *= _radians_per_unit(units, calibration)
    result[..., _GRIPPER] = result[..., _GRIPPER] / 100.0 * _GRIPPER_SPAN + GRIPPER_CLOSED
    return result


def counts_to_lerobot(counts: ArrayLike, calibration: Calibration, units: Units = LEROBOT_UNITS) -> Array:
    """Servo counts (..., 6) as LeRobot's units (..., 6), exactly as LeRobot 0.5.1 reads Present_Position.

    Degrees are not clamped and ignore ``drive_mode``; the ranges (gripper, and the arm in -100 … 100) are clamped
    to the calibrated range and turned round where ``drive_mode`` is set.
    """
    counts = _joints(counts)
    lower, upper, reversed_ = _ranges(calibration)
    fraction = (np.clip(counts, lower, upper) - lower) / (upper - lower)
    if units is Units.DEGREES:
        result = (counts - (lower + upper) / 2.0) * 360.0 / COUNTS_PER_TURN
    else:
        centerd = fraction * 200.0 - 100.0
        result = np.where(reversed_, -centerd, centerd)
    percent = fraction * 100.0
    result[..., _GRIPPER] = np.where(reversed_, 100.0 - percent, percent)[..., _GRIPPER]
    return result


def lerobot_to_counts(a: ArrayLike, calibration: Calibration, units: Units = LEROBOT_UNITS) -> NDArray[np.int64]:
    """LeRobot's units (..., 6) as servo counts (..., 6), exactly as LeRobot 0.5.1 writes Goal_Position.

    It truncates towards zero. Degrees are not bounded: a caller that moves an arm limits them first.

    Raises:
        ValueError: if a value is NaN or infinite.
    """
    values = _joints(a)
    if not np.isfinite(values).all():
        raise ValueError(f"Joint values must be finite, got {np.asarray(a).tolist()}.")
    lower, upper, reversed_ = _ranges(calibration)
    if units is Units.DEGREES:
        result = values * COUNTS_PER_TURN / 360.0 + (lower + upper) / 2.0
    else:
        centerd = np.clip(np.where(reversed_, -values, values), -100.0, 100.0)
        result = (centerd + 100.0) / 200.0 * (upper - lower) + lower
    percent = np.clip(np.where(reversed_, 100.0 - values, values), 0.0, 100.0)
    result[..., _GRIPPER] = (percent / 100.0 * (upper - lower) + lower)[..., _GRIPPER]
    return np.trunc(result).astype(np.int64)


def counts_to_radians(counts: ArrayLike, calibration: Calibration) -> Array:
    """Servo counts (..., 6) as joint angles (..., 6) in rad, as LeRobot reads them (the gripper is clamped)."""
    return lerobot_to_radians(counts_to_lerobot(counts, calibration))


def radians_to_counts(q: ArrayLike, calibration: Calibration) -> NDArray[np.int64]:
    """Joint angles (..., 6) in rad as servo counts (..., 6), as LeRobot writes them.

    Raises:
        ValueError: if an angle is NaN or infinite.
    """
    return lerobot_to_counts(radians_to_lerobot(q), calibration)


def encoder_map(calibration: Calibration) -> tuple[Array, Array]:
    """The straight line behind the conversion between counts and radians: counts = zero + slope · q.

    Returns:
        ``zero`` (6,), the counts at joint angle 0, and ``slope`` (6,) in counts per rad, both fractional and
        without clamping: for velocities, and for the twin's encoders. The gripper's slope comes from its
        calibrated range, which LeRobot takes for 110°.
    """
    lower, upper, reversed_ = _ranges(calibration)
    zero = (lower + upper) / 2.0
    slope = np.full(len(JOINT_NAMES), 1.0 / _RADIANS_PER_COUNT)
    span = upper[_GRIPPER] - lower[_GRIPPER]
    slope[_GRIPPER] = (-span if reversed_[_GRIPPER] else span) / _GRIPPER_SPAN
    closed = upper[_GRIPPER] if reversed_[_GRIPPER] else lower[_GRIPPER]
    zero[_GRIPPER] = closed - slope[_GRIPPER] * GRIPPER_CLOSED
    return zero, slope


def _joints(values: ArrayLike) -> Array:
    """A float copy of ``values``, which must be (..., 6)."""
    result = np.array(values, dtype=np.float64)
    if result.ndim == 0 or result.shape[-1] != len(JOINT_NAMES):
        raise ValueError(f"Joint values have shape {result.shape}; their last dimension must be {len(JOINT_NAMES)}.")
    return result


def _ranges(calibration: Calibration) -> tuple[Array, Array, NDArray[np.bool_]]:
    """``range_min`` (6,), ``range_max`` (6,) and whether ``drive_mode`` is set (6,), in the order of the joints."""
    motors = [calibration[name] for name in JOINT_NAMES]
    lower = np.array([motor.range_min for motor in motors], dtype=np.float64)
    upper = np.array([motor.range_max for motor in motors], dtype=np.float64)
    return lower, upper, np.array([bool(motor.drive_mode) for motor in motors])


def _radians_per_unit(units: Units, calibration: Calibration | None) -> Array:
    """Radians (5,) per unit of the arm joints."""
    if units is Units.DEGREES:
        return np.full(_GRIPPER, np.pi / 180.0)
    if calibration is None:
        raise ValueError("Units -100..100 are parts of each joint's calibrated range: give the arm's calibration.")
    lower, upper, reversed_ = _ranges(calibration)
    radians = (upper - lower) / 200.0 * _RADIANS_PER_COUNT
    return np.where(reversed_, -radians, radians)[_ARM]
