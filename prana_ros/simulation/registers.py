"""The memory table of an STS3215 servo: addresses, sizes, factory values.

Source: Feetech's memory table of the STS series; sizes in bytes, words are little-endian. Addresses below
``RAM_START`` are EPROM: they survive a power cycle if they were written while ``LOCK`` was 0.
"""

from enum import IntEnum
from typing import NamedTuple

MODEL_NUMBER = 777
FIRMWARE = (3, 10)
TABLE_SIZE = 256
RAM_START = 40
COUNTS_PER_TURN = 4096
TICK_SECONDS = 0.01
"""Unit of the protection times."""
CURRENT_UNIT = 0.0065
"""Ampere per count of the current registers."""
VOLTAGE_UNIT = 0.1
"""Volt per count of the voltage registers."""
ACCELERATION_UNIT = 100
"""Counts/s² per unit of the acceleration registers."""


class Register(NamedTuple):
    """Address and size of one value, and the bit that carries its sign (None: unsigned)."""

    address: int
    size: int = 1
    sign_bit: int | None = None


class ErrorBits(IntEnum):
    """Bits of the status register and of each status packet."""

    VOLTAGE = 1
    ANGLE = 2
    OVERHEAT = 4
    OVERCURRENT = 8
    OVERLOAD = 32


class OperatingMode(IntEnum):
    """Values of ``OPERATING_MODE``, and the register that commands each of them."""

    POSITION = 0
    """``GOAL_POSITION``: where to."""
    VELOCITY = 1
    """``GOAL_VELOCITY``: how fast, and in which direction, without end."""
    PWM = 2
    """``GOAL_PWM``: which part of the supply voltage, and in which direction, without any loop."""
    STEP = 3
    """``GOAL_POSITION``: how many counts further, and in which direction."""


FIRMWARE_MAJOR = Register(0)
FIRMWARE_MINOR = Register(1)
MODEL = Register(3, 2)
ID = Register(5)
BAUD_RATE = Register(6)
RETURN_DELAY = Register(7)
RESPONSE_LEVEL = Register(8)
MIN_POSITION = Register(9, 2)
MAX_POSITION = Register(11, 2)
MAX_TEMPERATURE = Register(13)
MAX_VOLTAGE = Register(14)
MIN_VOLTAGE = Register(15)
MAX_TORQUE = Register(16, 2)
PHASE = Register(18)
UNLOADING_CONDITION = Register(19)
LED_CONDITION = Register(20)
P_COEFFICIENT = Register(21)
D_COEFFICIENT = Register(22)
I_COEFFICIENT = Register(23)
STARTUP_FORCE = Register(24, 2)
CW_DEAD_ZONE = Register(26)
CCW_DEAD_ZONE = Register(27)
PROTECTION_CURRENT = Register(28, 2)
ANGULAR_RESOLUTION = Register(30)
HOMING_OFFSET = Register(31, 2, sign_bit=11)
OPERATING_MODE = Register(33)
PROTECTIVE_TORQUE = Register(34)
PROTECTION_TIME = Register(35)
OVERLOAD_TORQUE = Register(36)
VELOCITY_P_COEFFICIENT = Register(37)
OVERCURRENT_TIME = Register(38)
VELOCITY_I_COEFFICIENT = Register(39)
TORQUE_ENABLE = Register(40)
ACCELERATION = Register(41)
GOAL_POSITION = Register(42, 2, sign_bit=15)
GOAL_TIME = Register(44, 2)
GOAL_PWM = Register(44, 2, sign_bit=10)
"""What ``GOAL_TIME`` is in PWM mode: thousandths of the full voltage."""
GOAL_VELOCITY = Register(46, 2, sign_bit=15)
TORQUE_LIMIT = Register(48, 2)
LOCK = Register(55)
PRESENT_POSITION = Register(56, 2, sign_bit=15)
PRESENT_VELOCITY = Register(58, 2, sign_bit=15)
PRESENT_LOAD = Register(60, 2, sign_bit=10)
PRESENT_VOLTAGE = Register(62)
PRESENT_TEMPERATURE = Register(63)
STATUS = Register(65)
MOVING = Register(66)
PRESENT_CURRENT = Register(69, 2)
GOAL_POSITION_2 = Register(71, 2)
MOVING_THRESHOLD = Register(80)
MAX_ACCELERATION = Register(85)

COMMAND: dict[int, Register] = {
    OperatingMode.POSITION: GOAL_POSITION,
    OperatingMode.VELOCITY: GOAL_VELOCITY,
    OperatingMode.PWM: GOAL_PWM,
    OperatingMode.STEP: GOAL_POSITION,
}
"""The register that commands each operating mode; a servo in another mode does not drive."""

BAUD_RATES = (1_000_000, 500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400)
"""Bits per second by the value of ``BAUD_RATE``."""

FACTORY: dict[Register, int] = {
    FIRMWARE_MAJOR: FIRMWARE[0],
    FIRMWARE_MINOR: FIRMWARE[1],
    MODEL: MODEL_NUMBER,
    ID: 1,
    RETURN_DELAY: 250,
    RESPONSE_LEVEL: 1,
    MAX_POSITION: COUNTS_PER_TURN - 1,
    MAX_TEMPERATURE: 70,
    MAX_VOLTAGE: 140,
    MIN_VOLTAGE: 40,
    MAX_TORQUE: 1000,
    PHASE: 12,
    UNLOADING_CONDITION: ErrorBits.OVERHEAT | ErrorBits.OVERCURRENT | ErrorBits.OVERLOAD,
    LED_CONDITION: ErrorBits.OVERHEAT | ErrorBits.OVERCURRENT | ErrorBits.OVERLOAD,
    P_COEFFICIENT: 32,
    D_COEFFICIENT: 32,
    STARTUP_FORCE: 16,
    CW_DEAD_ZONE: 1,
    CCW_DEAD_ZONE: 1,
    PROTECTION_CURRENT: 500,
    ANGULAR_RESOLUTION: 1,
    PROTECTIVE_TORQUE: 20,
    PROTECTION_TIME: 200,
    OVERLOAD_TORQUE: 80,
    VELOCITY_P_COEFFICIENT: 10,
    OVERCURRENT_TIME: 200,
    VELOCITY_I_COEFFICIENT: 10,
    LOCK: 1,
    MOVING_THRESHOLD: 50,
    MAX_ACCELERATION: 254,
}
"""Values of a new servo; what is not listed is 0."""

READ_ONLY = frozenset([*range(5), *range(PRESENT_POSITION.address, GOAL_POSITION_2.address + 2)])
"""Addresses that a write leaves as they are."""


def encode(register: Register, value: int) -> bytes:
    """The bytes of ``value``: sign and magnitude where the register has a sign, clipped to what it can hold."""
    if register.sign_bit is None:
        raw = min(max(value, 0), (1 << 8 * register.size) - 1)
    else:
        raw = min(abs(value), (1 << register.sign_bit) - 1) | (value < 0) << register.sign_bit
    return raw.to_bytes(register.size, "little")


def decode(register: Register, memory: bytes | bytearray) -> int:
    """The value of a register in a memory table."""
    raw = int.from_bytes(memory[register.address : register.address + register.size], "little")
    if register.sign_bit is None:
        return raw
    magnitude = raw & ((1 << register.sign_bit) - 1)
    return -magnitude if raw >> register.sign_bit & 1 else magnitude
