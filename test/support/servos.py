"""A servo without a bus and a joint, and what a test does with it."""

import math

from prana_ros.simulation import registers as r
from prana_ros.simulation.servo import Servo
from prana_ros.so101.model import ACTUATOR

STEP = 0.002
COUNT = 2.0 * math.pi / 4096.0
STALL = ACTUATOR.torque_limit


def new_servo(zero: float = 2047.5, low: int = 0, high: int = 4095) -> Servo:
    servo = Servo(3)
    servo.assemble(zero, 0, low, high)
    return servo


def write(servo: Servo, register: r.Register, value: int) -> None:
    servo.write(register.address, r.encode(register, value))


def stand(servo: Servo, angle: float, torque: float = 0.0, seconds: float = STEP) -> None:
    """Let time pass for a joint that does not move."""
    for _ in range(max(1, round(seconds / STEP))):
        servo.update(angle, 0.0, torque, STEP)
