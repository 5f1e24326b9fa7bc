"""Registers 56 to 70 of all servos, as one sync read brings them: what the arm is doing, with the error bytes.

A status packet is ``FF FF id length error data checksum`` with length = len(data) + 2 and the checksum the complement
of the low byte of the sum from id to data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lerobot.motors.encoding_utils import decode_sign_magnitude

ADDRESS = 56
LENGTH = 15
OVERHEAD = 6
"""Bytes of a status packet around its data."""
PACKET_LENGTH = LENGTH + OVERHEAD

CURRENT_UNIT = 0.0065
"""Ampere per count of Present_Current."""
VOLTAGE_UNIT = 0.1
"""Volt per count of Present_Voltage."""


class StatusError(ValueError):
    """The answer to a sync read is incomplete, garbled or out of step; ``servo_ids`` gave no valid answer."""

    def __init__(self, servo_ids: Sequence[int]) -> None:
        super().__init__(f"no valid status packet from the servos {', '.join(map(str, servo_ids))}")
        self.servo_ids = tuple(servo_ids)


@dataclass(frozen=True, eq=False)
class StatusBlock:
    """Raw readings of J servos, arrays of shape (J,)."""

    counts: np.ndarray
    """Present_Position, int."""
    counts_per_second: np.ndarray
    """Present_Velocity, signed."""
    load: np.ndarray
    """Signed fraction of the stall torque."""
    voltage: np.ndarray
    """V."""
    temperature: np.ndarray
    """Degrees Celsius."""
    current: np.ndarray
    """A."""
    error_bits: np.ndarray
    """int: error byte of the packet, with the status register."""

    def reordered(self, indices: np.ndarray) -> "StatusBlock":
        """The same readings in the order of ``indices`` (J,)."""
        return StatusBlock(**{name: values[indices] for name, values in vars(self).items()})


def parse(answer: bytes, servo_ids: Sequence[int]) -> StatusBlock:
    """Read the status packets of ``servo_ids``, which must fill ``answer`` exactly and in this order.

    A packet too many is as wrong as one too few: it is the late answer to an earlier question, and would pass for the
    present. Raises :class:`StatusError`.
    """
    packets = [answer[i * PACKET_LENGTH : (i + 1) * PACKET_LENGTH] for i in range(len(servo_ids))]
    pairs = list(zip(packets, servo_ids, strict=True))
    invalid = [servo_id for packet, servo_id in pairs if not is_valid(packet, servo_id, LENGTH)]
    if len(answer) > PACKET_LENGTH * len(servo_ids):
        invalid = list(servo_ids)
    if invalid:
        raise StatusError(invalid)
    rows = np.array([_values(packet) for packet in packets], dtype=np.float64).T
    counts, speed, load, voltage, temperature, current, errors = rows
    return StatusBlock(
        counts=counts.astype(np.int64),
        counts_per_second=speed,
        load=load / 1000.0,
        voltage=voltage * VOLTAGE_UNIT,
        temperature=temperature,
        current=current * CURRENT_UNIT,
        error_bits=errors.astype(np.int64),
    )


def is_valid(packet: bytes, servo_id: int, length: int) -> bool:
    """Whether ``packet`` is a status packet of ``servo_id`` with ``length`` bytes of data, whole and unspoilt."""
    if len(packet) != length + OVERHEAD or packet[:4] != bytes((0xFF, 0xFF, servo_id, length + 2)):
        return False
    return packet[-1] == ~sum(packet[2:-1]) & 0xFF


def data_of(packet: bytes) -> bytes:
    """The data of a valid status packet."""
    return packet[5:-1]


def _values(packet: bytes) -> tuple[int, ...]:
    """Position, velocity, load, voltage, temperature, current and error bits as the registers hold them."""
    data = data_of(packet)

    def word(address: int) -> int:
        return int.from_bytes(data[address - ADDRESS : address - ADDRESS + 2], "little")

    return (
        decode_sign_magnitude(word(56), 15),
        decode_sign_magnitude(word(58), 15),
        decode_sign_magnitude(word(60) & 0x7FF, 10),
        data[62 - ADDRESS],
        data[63 - ADDRESS],
        decode_sign_magnitude(word(69), 15),
        packet[4] | data[65 - ADDRESS],
    )
