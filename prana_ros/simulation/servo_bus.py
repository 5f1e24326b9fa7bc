"""The servos' serial line as a pseudo-terminal: a program opens ``ServoBus.port`` as it would a USB adapter.

Packets and instructions are those of ``instructions``. A packet with a wrong sum is not answered, and a servo
listens at its own baud rate only, as on the real line.
"""

import contextlib
import fcntl
import os
import select
import struct
import threading
import time
import tty
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from prana_ros.simulation.faults import Faults
from prana_ros.simulation.hand import Hand
from prana_ros.simulation.instructions import (
    BROADCAST,
    HEADER,
    MAX_LENGTH,
    PING,
    SYNC_READ,
    SYNC_WRITE,
    carry_out,
    sync_read,
    sync_write,
)
from prana_ros.simulation.plant import ArmPlant
from prana_ros.simulation.servo import SUPPLY_VOLTAGE, Servo
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.units import Calibration, encoder_map

SUPPLY_RESISTANCE = 0.15
"""Ohm between the power supply and the servos."""
_STALE_SECONDS = 0.02
"""A packet that has not come to its end after this time is forgotten."""
_CLOSED_POLL_SECONDS = 0.005
"""A pseudo-terminal does not say when somebody opens it, so that has to be polled."""
_TCGETS2 = 0x802C542A
_TERMIOS2 = struct.Struct("<4IB19s2I")
"""Linux's ``struct termios2`` on x86 and ARM; its last number is the output speed in bits per second. ``tcgetattr``
knows the speeds of POSIX only, and programs set others (``BOTHER``): 250000, or every one as Rust's serialport does.
"""

Commands = tuple[tuple[float, ...], tuple[bool, ...], tuple[float, ...]]
"""For each joint of the plant: goal in rad, whether it is pulled there, and with which part of the stall torque."""


def arm_servos(calibration: Calibration) -> list[Servo]:
    """The six servos of an SO-101 that was assembled so that ``calibration`` is true of it."""
    zeros, _ = encoder_map(calibration)
    servos = []
    for motor, zero in zip(calibration.values(), zeros.tolist(), strict=True):
        servo = Servo(motor.id)
        servo.assemble(zero + motor.homing_offset, motor.homing_offset, motor.range_min, motor.range_max)
        servos.append(servo)
    return servos


def _on_one_wire(answers: list[bytes]) -> list[bytes]:
    """What is heard of answers: those with one id (the third byte) come at the same time, and a 0 wins over a 1."""
    heard: dict[int, bytes] = {}
    for answer in answers:
        other = heard.get(answer[2], answer)
        heard[answer[2]] = bytes(a & b for a, b in zip(answer, other, strict=True))
    return list(heard.values())


def _with_hand(commands: Commands, hand: Hand, position: np.ndarray, dt: float) -> Commands:
    """The commands for a plant to which a hand is one more motor, at the joints whose servo does not drive."""
    targets, driving, fractions = commands
    pulled = hand.pull(position, np.logical_not(driving), dt).tolist()
    return (
        tuple(target if drives else by_hand for target, by_hand, drives in zip(targets, pulled, driving, strict=True)),
        (True,) * len(driving),
        tuple(fraction if drives else 1.0 for fraction, drives in zip(fractions, driving, strict=True)),
    )


class ServoBus:
    """Six servos behind a pseudo-terminal, driving the joints of a plant.

    Attributes:
        servos: by position in ``JOINT_NAMES``.
        faults: what goes wrong on the line.
        hand: what moves the joints that have no torque; None for no hand.
        supply_voltage: V of the power supply.
        packets: instructions answered or carried out so far.
        rejected: instruction packets with a wrong sum so far.
    """

    def __init__(self, plant: ArmPlant, link: str | Path | None = None) -> None:
        """Open the port and answer from now on.

        Args:
            plant: the arm whose joints the servos drive; ``update`` moves data to and fro.
            link: where to put a symbolic link to the port; an older link is replaced.

        Raises:
            FileExistsError: if there is something at ``link`` that is not a symbolic link.
            FileNotFoundError: if the folder of ``link`` does not exist.
        """
        self.plant = plant
        self.link = None if link is None else Path(link)
        self.servos = arm_servos(twin_calibration())
        self.faults = Faults()
        self.hand: Hand | None = None
        self.supply_voltage = SUPPLY_VOLTAGE
        self.packets = self.rejected = 0
        self.port = ""
        self._lock = threading.Lock()
        self._commands: Commands | None = None
        self._master = -1
        self._thread: threading.Thread | None = None
        self._stop, self._stopper = os.pipe()
        self.update(0.0)
        self.plug_in()

    # -- the plug ----------------------------------------------------------------------------------------------

    def plug_in(self) -> None:
        """Create the port and its link and answer there."""
        if self._thread is not None:
            return
        master, slave = os.openpty()
        tty.setraw(slave)
        port = os.ttyname(slave)
        # Nobody but the client holds the line open: so its exclusive access (TIOCEXCL) ends when it dies.
        os.close(slave)
        os.set_blocking(master, False)
        try:
            self._put_link(port)
        except OSError:
            os.close(master)
            raise
        self._master, self.port = master, port
        self._thread = threading.Thread(target=self._serve, name=f"servo bus {port}", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Pull the plug: the client's reads fail, the port and its link vanish; the servos hold what they had."""
        if self._thread is None:
            return
        os.write(self._stopper, b"x")
        self._thread.join()
        self._thread = None
        os.read(self._stop, 1)
        os.close(self._master)
        if self.link is not None and self.link.is_symlink() and os.readlink(self.link) == self.port:
            self.link.unlink()

    def close(self) -> None:
        """Remove the port for good."""
        self.unplug()
        for descriptor in (self._stop, self._stopper):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._stop = self._stopper = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put_link(self, port: str) -> None:
        if self.link is None:
            return
        if self.link.exists() and not self.link.is_symlink():
            raise FileExistsError(f"{self.link} exists and is not a symbolic link; the port's link cannot go there.")
        if not self.link.parent.is_dir():
            raise FileNotFoundError(f"There is no folder {self.link.parent} for the port's link {self.link.name}.")
        new = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        new.symlink_to(port)
        new.replace(self.link)

    # -- the joints --------------------------------------------------------------------------------------------

    def update(self, dt: float) -> None:
        """Show the plant's state to the servos, let ``dt`` seconds pass, and give the plant their commands.

        To be called before each step of the plant, by what steps it.
        """
        plant = self.plant
        position = np.asarray(plant.position)
        state = zip(
            position.tolist(),
            np.asarray(plant.velocity).tolist(),
            np.asarray(plant.torque).tolist(),
            strict=True,
        )
        hand = self.hand
        with self._lock:
            current = 0.0
            for servo, (angle, velocity, torque) in zip(self.servos, state, strict=True):
                by_hand = hand is not None and not servo.driving
                servo.update(angle, velocity, 0.0 if by_hand else torque, dt)
                current += servo.current
            for servo in self.servos:
                servo.supply_voltage = self.supply_voltage - SUPPLY_RESISTANCE * current
            commands = (
                tuple(servo.target for servo in self.servos),
                tuple(servo.driving for servo in self.servos),
                tuple(servo.torque_fraction for servo in self.servos),
            )
        if hand is not None:
            commands = _with_hand(commands, hand, position, dt)
        if commands != self._commands:
            self._commands = commands
            plant.goal, plant.torque_enabled, plant.torque_limit = map(np.array, commands)

    def place(self) -> None:
        """The plant's joints were put somewhere by hand: every servo makes that its goal."""
        with self._lock:
            for servo, angle in zip(self.servos, np.asarray(self.plant.position).tolist(), strict=True):
                servo.place(angle)

    def assemble(self, calibration: Calibration) -> None:
        """Put in servos for which ``calibration`` is true, as they are when the power comes."""
        with self._lock:
            self.servos = arm_servos(calibration)

    def put_in_new_servos(self) -> None:
        """Put in six servos as they come from the factory: each has the id 1 and no calibration."""
        with self._lock:
            self.servos = [Servo(1) for _ in self.servos]

    def connect_servos(self, numbers: Collection[int]) -> None:
        """Connect these servos, 1 at the base to 6 at the gripper, with line and power, and no others.

        A servo whose cable is pulled or put in starts anew.
        """
        with self._lock:
            for number, servo in enumerate(self.servos, start=1):
                if servo.muted == (number in numbers):
                    servo.muted = not servo.muted
                    servo.power_cycle()

    # -- the line ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        received = bytearray()
        heard = 0.0
        delayed: list[tuple[float, bytes]] = []
        while True:
            timeout = max(0.0, delayed[0][0] - time.monotonic()) if delayed else None
            readable, _, _ = select.select([self._master, self._stop], [], [], timeout)
            if self._stop in readable:
                return
            now = time.monotonic()
            while delayed and delayed[0][0] <= now:
                self._send(delayed.pop(0)[1])
            if not readable:
                continue
            try:
                data = os.read(self._master, 4096)
            except OSError:
                # No client has the port open.
                received.clear()
                if select.select([self._stop], [], [], _CLOSED_POLL_SECONDS)[0]:
                    return
                continue
            if received and now - heard > _STALE_SECONDS:
                received.clear()
            heard = now
            received += data
            self._transmit(self._answers(received), delayed)

    def _transmit(self, answers: Iterable[bytes], delayed: list[tuple[float, bytes]]) -> None:
        """Send the answers to one instruction at once, or let some be lost, spoilt or late."""
        faults = self.faults
        in_time = bytearray()
        for answer in answers:
            if faults.drop > 0:
                faults.drop -= 1
                continue
            if faults.corrupt > 0:
                faults.corrupt -= 1
                answer = answer[:-1] + bytes((answer[-1] ^ 0x10,))
            if faults.late > 0:
                faults.late -= 1
                delayed.append((time.monotonic() + faults.lateness, answer))
            else:
                in_time += answer
        if in_time:
            self._send(bytes(in_time))

    def _send(self, answer: bytes) -> None:
        # A client that does not read fills the line; what does not fit is lost, as on a wire.
        with contextlib.suppress(OSError):
            os.write(self._master, answer)

    def _answers(self, received: bytearray) -> Iterator[bytes]:
        """Take the complete packets from the front of ``received`` and carry them out."""
        while True:
            start = received.find(HEADER)
            if start < 0:
                # The last byte may be the first half of a header.
                del received[: len(received) - received.endswith(b"\xff")]
                return
            del received[:start]
            if len(received) < 4:
                return
            length = received[3]
            if received[2] == 0xFF or not 2 <= length <= MAX_LENGTH:
                del received[0]
                continue
            if len(received) < length + 4:
                return
            body = bytes(received[2 : length + 4])
            if ~sum(body[:-1]) & 0xFF != body[-1]:
                self.rejected += 1
                del received[: len(HEADER)]
                continue
            del received[: length + 4]
            with self._lock:
                answers = self._carry_out(body[0], body[2], body[3:-1])
            yield from answers

    def _carry_out(self, servo_id: int, instruction: int, parameters: bytes) -> list[bytes]:
        """Carry out one instruction and return the answers to it."""
        speed = self._baud_rate()
        listening = [servo for servo in self.servos if not servo.muted and servo.baud_rate == speed]
        self.packets += 1
        if instruction == SYNC_READ:
            return sync_read(listening, parameters) if servo_id == BROADCAST else []
        if instruction == SYNC_WRITE:
            if servo_id == BROADCAST:
                sync_write(listening, parameters)
            return []
        addressed = [servo for servo in listening if servo_id in (BROADCAST, servo.id)]
        answers = [carry_out(servo, instruction, parameters) for servo in addressed]
        if servo_id == BROADCAST and instruction != PING:
            return []
        return _on_one_wire([answer for answer in answers if answer is not None])

    def _baud_rate(self) -> int:
        """Bits per second that the client has set on the port."""
        return _TERMIOS2.unpack(fcntl.ioctl(self._master, _TCGETS2, bytes(_TERMIOS2.size)))[-1]
