"""Whether the servos' readings allow torque: a servo drives to the nearest goal that it accepts, so they must be one.

A servo clips every goal to the position limits in its memory, which are the calibrated range. If a joint stands
outside that range, no goal keeps it where it is: with the torque it runs to the end of the range.
"""

from collections.abc import Mapping

import numpy as np
from lerobot.motors import MotorCalibration

from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import COUNTS_PER_TURN

SLACK = 12
"""Counts beyond the range that are accepted: the servo's backlash of 1 degree, which a joint at its stop may show."""


def readings_outside(counts: np.ndarray, calibration: Mapping[str, MotorCalibration]) -> dict[str, str]:
    """Why joints must not get torque, one sentence for each that must not.

    Args:
        counts: Present_Position (6,) of the servos, in the order of ``JOINT_NAMES``.
        calibration: of the arm.
    """
    sentences = {}
    for name, count in zip(JOINT_NAMES, map(int, counts), strict=True):
        motor = calibration[name]
        if not 0 <= count <= COUNTS_PER_TURN:
            sentences[name] = (
                f"{name} reads {count} counts, beyond the 0 to {COUNTS_PER_TURN} of one turn: its servo counts several "
                "turns (bit 4 of its register Phase, 18, is set); start once with write_calibration, which clears it."
            )
        elif not motor.range_min - SLACK <= count <= motor.range_max + SLACK:
            sentences[name] = (
                f"{name} reads {count} counts, outside its calibrated range of {motor.range_min} to "
                f"{motor.range_max}: with torque it would run there; move it into the range by hand, or calibrate "
                "again and sweep the whole range."
            )
    return sentences
