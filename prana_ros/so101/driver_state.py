"""The settings of the driver of an arm, and the state that it reports."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from prana_ros.so101.arm_reading import ArmReading
from prana_ros.so101.model import REST_POSE, SERVO_RATE
from prana_ros.so101.stop_ladder import StopReason


class DriverMode(IntEnum):
    """What the driver does with the arm; the values are those of ``prana_msgs/ArmState``."""

    TORQUE_OFF = 0
    HOLDING = 1
    FOLLOWING = 2
    RETURNING = 3
    STOPPED = 4
    TORQUE_PARTLY_OFF = 5


class RefusedError(ValueError):
    """The arm does not do what it was asked to; the message is one sentence for the user."""


@dataclass(frozen=True)
class DriverSettings:
    """How the arm may move and what stops it. rad, seconds, °C, V."""

    rate: float = SERVO_RATE
    max_velocity: float = 4.0
    max_acceleration: float = 40.0
    rest_pose: tuple[float, ...] = REST_POSE
    rest_velocity: float = 0.6
    max_temperature: float = 65.0
    min_voltage: float = 4.5
    communication_timeout: float = 0.5
    dry_run: bool = False
    """Whether the arm never moves, and has torque only if that is asked for."""


@dataclass
class Counters:
    """Since the driver was connected."""

    accepted: int = 0
    refused: int = 0
    last_refusal: str = ""
    commands_sent: int = 0
    commands_lost: int = 0


@dataclass(frozen=True, eq=False)
class DriverState:
    """A snapshot for reports; ``reading`` is None until the first one."""

    mode: DriverMode
    stop_reason: StopReason
    stop_message: str
    owner: str
    counters: Counters
    commands_limited: int
    reading: ArmReading | None
    torque: np.ndarray
    """Which motors (6,) have torque, as far as is known."""
    communication_errors: np.ndarray
