"""Register values that every servo of an SO-101 must have: LeRobot 0.5.1's, and the calibration's."""

from lerobot.motors import MotorCalibration

_ALL: dict[str, int] = {
    "Return_Delay_Time": 0,
    "Maximum_Acceleration": 254,
    "Acceleration": 254,
    "Operating_Mode": 0,
    "P_Coefficient": 16,
    "I_Coefficient": 0,
    "D_Coefficient": 32,
    # Left behind by another program, these would slow every motion down.
    "Goal_Time": 0,
    "Goal_Velocity": 0,
}
_TORQUE = {"Max_Torque_Limit": 1000, "Torque_Limit": 1000}
# Half the torque and half the current keep the gripper's motor from burning while it presses on something.
_GRIPPER = {
    "Max_Torque_Limit": 500,
    "Torque_Limit": 500,
    "Protection_Current": 250,
    "Overload_Torque": 25,
}

GRIPPER_OVERLOAD = _GRIPPER["Overload_Torque"] / 100.0
"""Fraction of the stall torque above which the gripper's servo begins to protect itself."""

MULTI_TURN_BIT = 1 << 4
"""In the register Phase (18): the servo counts turns, and its position leaves 0 … 4095."""


def settings_of(motor: str) -> dict[str, int]:
    """Registers and their values, by LeRobot's names, for one motor of the arm."""
    return _ALL | (_GRIPPER if motor == "gripper" else _TORQUE)


def calibration_settings(calibration: MotorCalibration) -> dict[str, int]:
    """Registers in which the servo keeps its calibration, and their values."""
    return {
        "Homing_Offset": calibration.homing_offset,
        "Min_Position_Limit": calibration.range_min,
        "Max_Position_Limit": calibration.range_max,
    }
