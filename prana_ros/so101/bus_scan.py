"""Which motors answer on a serial line where some of an arm's do not: the usual mistakes when motors are set up.

A motor from the factory has the id 1; two motors with one id answer at the same time and garble each other; a motor
listens at its own speed only. LeRobot's ``lerobot-setup-motors`` cures all three, one motor after the other.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from lerobot.motors.feetech import FeetechMotorsBus

from prana_ros.so101 import status_block
from prana_ros.so101.status_block import OVERHEAD, is_valid

BAUD_RATE = 1_000_000
"""Bits per second of an SO-101."""
SILENCE = 0.05
"""Seconds after which no more answers are expected; with it a whole scan takes at most a second or so."""
SETUP = "lerobot-setup-motors --robot.type=so101_follower"
_OTHER_RATES = [rate for rate in FeetechMotorsBus.model_baudrate_table["sts3215"] if rate != BAUD_RATE]
_ATTEMPTS = 2
_BROADCAST = 0xFE
_PING = 0x01
_READ = 0x02


class Line(Protocol):
    """An open serial line."""

    def exchange(self, request: bytes, silence: float) -> bytes:
        """Everything that arrives after ``request``, until nothing has arrived for ``silence`` seconds."""

    def set_baud_rate(self, baud_rate: int) -> None:
        """Go on at another speed."""


def explain_silence(line: Line, ids: Sequence[int], silence: float = SILENCE) -> str:
    """What is on the line where some of the motors ``ids`` are silent, and what to do: the end of a sentence.

    The line is left at ``BAUD_RATE``.
    """
    found = _answering(line, silence)
    colliding = {motor for motor in {*ids, *found} if found.count(motor) > 1 or _collides(line, motor, silence)}
    if colliding:
        return (
            f"several motors have the id {_listed(colliding)}, as their answers collide (a new motor has the id 1); "
            f"give each motor its id with {SETUP}."
        )
    if not found:
        return _explain_by_speed(line, silence)
    if set(found) - set(ids):
        return (
            f"the ids {_listed(found)} answer, and an SO-101 has {_listed(ids)}; give each motor its id with {SETUP}."
        )
    return (
        f"only {_listed(found)} {'answers' if len(found) == 1 else 'answer'}; are the cables in, and has each motor "
        f"its id (a new motor has 1; {SETUP} sets them)?"
    )


def _explain_by_speed(line: Line, silence: float) -> str:
    try:
        for rate in _OTHER_RATES:
            line.set_baud_rate(rate)
            if found := _answering(line, silence):
                return (
                    f"at {rate} baud the ids {_listed(found)} answer, but an SO-101 talks at {BAUD_RATE} baud; set the "
                    f"motors' speed with {SETUP}."
                )
    finally:
        line.set_baud_rate(BAUD_RATE)
    return "nothing answers at any speed; are the cables in and is the power supply of the arm on?"


def _answering(line: Line, silence: float) -> list[int]:
    """Ids in the answers to a call to all motors."""
    answer = line.exchange(_packet(_BROADCAST, _PING), silence)
    starts = range(len(answer) - OVERHEAD + 1)
    return [answer[i + 2] for i in starts if is_valid(answer[i : i + OVERHEAD], answer[i + 2], 0)]


def _collides(line: Line, motor: int, silence: float) -> bool:
    """Whether what comes back for one id is not one motor's answer: asked for what differs between any two motors."""
    request = _packet(motor, _READ, status_block.ADDRESS, status_block.LENGTH)
    for _ in range(_ATTEMPTS):
        answer = line.exchange(request, silence)
        if not answer or is_valid(answer, motor, status_block.LENGTH):
            return False
    return True


def _packet(motor: int, instruction: int, *parameters: int) -> bytes:
    body = bytes((motor, len(parameters) + 2, instruction, *parameters))
    return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(ids))))
