"""The arm's six servos over LeRobot's ``FeetechMotorsBus``, made safe for a driver.

What LeRobot's bus does not do, and this one does: keep the port to itself; read position, velocity, load, voltage,
temperature, current and error bits in one transaction; notice a late answer instead of taking it for the next one;
retry a bounded number of times and count the errors of each motor; configure without cutting the torque; treat every
motor on its own when torque goes off; survive the port's disappearance.
"""

import contextlib
import itertools
import os
import select
import termios
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import serial
from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus

from prana_ros.so101 import servo_check, status_block
from prana_ros.so101.arm_reading import ArmReading
from prana_ros.so101.bus_errors import BusError, CommunicationError, PortLostError
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.port_lock import PortError, PortLock
from prana_ros.so101.servo_check import MODEL
from prana_ros.so101.status_block import OVERHEAD, PACKET_LENGTH, StatusBlock, StatusError, data_of, is_valid
from prana_ros.so101.units import encoder_map

REPLY_TIMEOUT = 0.03
"""Seconds for an answer: at most 2 ms on the wire, and the latency of a USB adapter on a busy machine."""
WRITE_TIMEOUT = 0.1
"""Seconds for a packet to leave; more means that nothing reads it, and without a limit the wait would never end."""
QUIET_TIME = 0.003
"""Seconds of silence after which a servo cycle goes on."""
LONGEST_ANSWER = 4096
"""Bytes after which a line that does not fall silent is not listened to any more."""
RETRIES = 5
"""Attempts at a transaction outside the servo loop."""
CYCLE_RETRIES = 2
"""Attempts at the block read within one servo cycle."""

Result = TypeVar("Result")


@dataclass
class ArmBus:
    """The servos of one arm. Not for several threads at once.

    ``clock_ns`` stamps the readings; timeouts use the monotonic clock.
    """

    port: str
    calibration: Mapping[str, MotorCalibration]
    clock_ns: Callable[[], int] = time.time_ns
    reply_timeout: float = REPLY_TIMEOUT
    """Seconds to wait for an answer."""
    communication_errors: np.ndarray = field(default_factory=lambda: np.zeros(len(JOINT_NAMES), dtype=np.int64))
    """Failed transactions per motor since the object was made."""
    write_calibration: bool = False
    """Whether the first connection writes the calibration into servos that have another. It is asked for once: an arm
    that is plugged in later may be another one."""

    def __post_init__(self) -> None:
        self._lock = PortLock(self.port)
        self._bus: Any = None
        self._was_connected = False
        self._ids = [self.calibration[name].id for name in JOINT_NAMES]
        zero, slope = encoder_map(self.calibration)
        self._zero, self._slope = zero, slope
        # Orders in which the servos are asked. After a failed transaction the next one follows, so that the answers to
        # the failed one, should they still come, are recognized by their order even if all of them come together.
        self._orders = itertools.cycle(itertools.permutations(range(len(JOINT_NAMES))))
        self._order = np.array(next(self._orders))
        motors = [self.calibration[name] for name in JOINT_NAMES]
        self._range = np.array([[motor.range_min, motor.range_max] for motor in motors]).T

    # -- connection ----------------------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether the port is open; it stays so until :meth:`close`, even if it was unplugged."""
        return self._bus is not None

    def connect(self) -> None:
        """Take the port, check the six servos and their calibration, and write what differs from LeRobot's settings.

        Torque is left as it is. Raises :class:`BusError` with one sentence, and leaves the port closed.
        """
        try:
            self._lock.acquire()
            self._bus = self._open()
            self._lock.shut_out()
            servo_check.check_servos(self, scan=not self._was_connected)
            if self.write_calibration:
                servo_check.write_calibration(self)
            servo_check.check_calibration(self)
            servo_check.apply_settings(self)
            self._was_connected, self.write_calibration = True, False
        except PortError as error:
            self.close()
            raise BusError(str(error)) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the port and give it back; the servos go on as they are. Never raises."""
        if self._bus is not None:
            with contextlib.suppress(OSError, serial.SerialException):  # unplugged
                self._bus.port_handler.closePort()
            self._bus = None
        self._lock.release()

    def _open(self) -> FeetechMotorsBus:
        motors = {
            name: Motor(
                self.calibration[name].id,
                MODEL,
                MotorNormMode.DEGREES if name != "gripper" else MotorNormMode.RANGE_0_100,
            )
            for name in JOINT_NAMES
        }
        bus = FeetechMotorsBus(self.port, motors, dict(self.calibration))
        try:
            bus.connect(handshake=False)
        except ConnectionError as error:
            raise BusError(f"The port '{self.port}' cannot be opened: {error.__cause__ or error}.") from None
        bus.port_handler.ser.write_timeout = WRITE_TIMEOUT
        return bus

    def exchange(self, request: bytes, silence: float) -> bytes:
        """Everything that arrives after ``request``, until nothing has arrived for ``silence`` seconds."""

        def transact() -> bytes:
            device = self._bus.port_handler.ser
            device.reset_input_buffer()
            device.write(request)
            answer = b""
            while select.select([device.fd], [], [], silence)[0] and len(answer) < LONGEST_ANSWER:
                answer += _read_available(device.fd, LONGEST_ANSWER)
            return answer

        return self._on_port(transact)

    def set_baud_rate(self, baud_rate: int) -> None:
        """Go on at another speed, one that the SDK may not know."""

        def set_speed() -> None:
            self._bus.port_handler.ser.baudrate = baud_rate

        self._on_port(set_speed)

    # -- the servo cycle -----------------------------------------------------------------------------------------------

    def read(self) -> ArmReading:
        """Read all servos in one transaction.

        Raises :class:`CommunicationError` after a bounded number of attempts, :class:`PortLostError` if unplugged.
        """
        for attempt in range(CYCLE_RETRIES):
            try:
                return self._reading(*self._read_block())
            except StatusError as error:
                for servo_id in error.servo_ids:
                    self.communication_errors[self._ids.index(servo_id)] += 1
                self._drain(QUIET_TIME)
                self._order = np.array(next(self._orders))
                if attempt == CYCLE_RETRIES - 1:
                    silent = ", ".join(self._motor(JOINT_NAMES[self._ids.index(i)]) for i in error.servo_ids)
                    raise CommunicationError(f"No valid answer on '{self.port}' from {silent}.") from None
        raise AssertionError("unreachable")

    def write_goals(self, position: np.ndarray) -> None:
        """Send goal positions (6,) in rad to all servos in one packet, which none of them answers.

        Goals beyond the calibrated range are sent as its ends. Raises :class:`PortLostError` if unplugged, and
        ``ValueError`` for anything but finite numbers.
        """
        if not np.all(np.isfinite(position)):
            raise ValueError(f"Goal positions must be finite (rad), not {position}.")
        counts = self._counts(position)
        address, length = self._address("Goal_Position")
        parameters: list[int] = []
        for servo_id, count in zip(self._ids, counts, strict=True):
            parameters += [servo_id, int(count) & 0xFF, int(count) >> 8]

        def send() -> int:
            port = self._bus.port_handler
            return self._bus.packet_handler.syncWriteTxOnly(port, address, length, parameters, len(parameters))

        if self._on_port(send) != 0:
            raise CommunicationError(f"The goal positions could not be written to '{self.port}'.")

    def _read_block(self) -> tuple[int, StatusBlock]:
        """Time of the middle of the transaction, and the answer of all servos."""
        servo_ids = [self._ids[i] for i in self._order]

        def transact() -> tuple[int, bytes]:
            port = self._bus.port_handler
            port.ser.reset_input_buffer()
            begin = self.clock_ns()
            self._bus.packet_handler.syncReadTx(
                port, status_block.ADDRESS, status_block.LENGTH, servo_ids, len(servo_ids)
            )
            answer = self._receive(PACKET_LENGTH * len(servo_ids))
            return (begin + self.clock_ns()) // 2, answer

        stamp_ns, answer = self._on_port(transact)
        return stamp_ns, status_block.parse(answer, servo_ids).reordered(np.argsort(self._order))

    def _receive(self, length: int) -> bytes:
        """Up to ``length`` bytes, fewer if they take too long; waits in the kernel, where the SDK would spin."""
        device = self._bus.port_handler.ser
        answer, deadline = b"", time.monotonic() + self.reply_timeout
        while len(answer) < length:
            remaining = deadline - time.monotonic()
            if remaining <= 0.0 or not select.select([device.fd], [], [], remaining)[0]:
                break
            answer += _read_available(device.fd, length - len(answer))
        return answer

    def _drain(self, quiet: float) -> None:
        """Wait until nothing has arrived for ``quiet`` seconds, and forget what had: it came too late."""

        def wait() -> None:
            device = self._bus.port_handler.ser
            deadline = time.monotonic() + self.reply_timeout
            while time.monotonic() < deadline and select.select([device.fd], [], [], quiet)[0]:
                device.reset_input_buffer()

        self._on_port(wait)

    def _reading(self, stamp_ns: int, block: StatusBlock) -> ArmReading:
        return ArmReading(
            stamp_ns=stamp_ns,
            counts=block.counts,
            position=(block.counts - self._zero) / self._slope,
            velocity=block.counts_per_second / self._slope,
            load=block.load,
            current=block.current,
            voltage=block.voltage,
            temperature=block.temperature,
            error_bits=block.error_bits,
        )

    def _counts(self, position: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(self._zero + self._slope * position), *self._range).astype(np.int64)

    # -- torque --------------------------------------------------------------------------------------------------------

    def torque_enabled(self) -> np.ndarray:
        """Which motors (6,) have torque on."""
        return np.array([self.read_register("Torque_Enable", name) == 1 for name in JOINT_NAMES])

    def has_torque(self, motor: str) -> bool:
        """Whether one motor has torque on, asked once: for the servo loop, which has no time to repeat it."""
        return self.read_register("Torque_Enable", motor, attempts=1) == 1

    def goals(self) -> np.ndarray:
        """Goal positions (6,) in rad as the servos hold them."""
        counts = np.array([self.read_register("Goal_Position", name) for name in JOINT_NAMES])
        return (counts - self._zero) / self._slope

    def hold(self, name: str, position: float) -> None:
        """Make ``position`` (rad) the goal of one motor, then switch its torque on; ends an overload protection."""
        index = JOINT_NAMES.index(name)
        present = np.zeros(len(JOINT_NAMES))
        present[index] = position
        self.write_register("Goal_Position", name, int(self._counts(present)[index]))
        self.write_register("Torque_Enable", name, 1)

    def torque_off(self) -> list[str]:
        """Switch the torque of every motor off, each on its own; returns the names of those that did not answer."""
        failed = []
        for name in JOINT_NAMES:
            try:
                self.write_register("Torque_Enable", name, 0)
            except BusError:
                failed.append(name)
        return failed

    # -- single registers ----------------------------------------------------------------------------------------------

    def read_register(self, register: str, motor: str, attempts: int = RETRIES) -> int:
        """Value of a register of LeRobot's control table; error bits in the answer do not matter here."""
        address, length = self._address(register)
        servo_id = self.calibration[motor].id
        data = self._transact(motor, length, lambda sdk, port: sdk.readTx(port, servo_id, address, length), attempts)
        return self._bus._decode_sign(register, {servo_id: int.from_bytes(data, "little")})[servo_id]

    def write_register(self, register: str, motor: str, value: int) -> None:
        """Write a register of LeRobot's control table and wait for the answer; error bits in it do not matter here."""
        address, length = self._address(register)
        servo_id = self.calibration[motor].id
        raw = self._bus._encode_sign(register, {servo_id: value})[servo_id]
        data = list(raw.to_bytes(length, "little"))
        self._transact(motor, 0, lambda sdk, port: sdk.writeTxOnly(port, servo_id, address, length, data))

    def _transact(self, motor: str, length: int, send: Callable[[Any, Any], object], attempts: int = RETRIES) -> bytes:
        """Data of ``length`` bytes in the answer to what ``send`` puts on the line with the SDK's handler and port."""

        def attempt() -> bytes:
            port = self._bus.port_handler
            port.ser.reset_input_buffer()
            send(self._bus.packet_handler, port)
            return self._receive(length + OVERHEAD)

        for _ in range(attempts):
            answer = self._on_port(attempt)
            if is_valid(answer, self.calibration[motor].id, length):
                return data_of(answer)
            self.communication_errors[JOINT_NAMES.index(motor)] += 1
            self._drain(self.reply_timeout)
        raise CommunicationError(f"{self._motor(motor)} on '{self.port}' does not answer.")

    def _on_port(self, action: Callable[[], Result]) -> Result:
        """Result of ``action``, with the SDK's port ready for it and the port's disappearance told apart."""
        if self._bus is None:
            raise PortLostError(f"The port '{self.port}' is not open.")
        try:
            return action()
        except serial.SerialTimeoutException as error:
            raise PortLostError(f"The port '{self.port}' takes no more data; does its adapter hang?") from error
        except (OSError, serial.SerialException, termios.error) as error:
            raise PortLostError(f"The port '{self.port}' has vanished; is the arm unplugged?") from error
        finally:
            # The SDK forgets to free its port when a transaction ends in an exception.
            self._bus.port_handler.is_using = False

    def _address(self, register: str) -> tuple[int, int]:
        address, length = FeetechMotorsBus.model_ctrl_table[MODEL][register]
        return address, length

    def _motor(self, name: str) -> str:
        return f"motor {self.calibration[name].id} ({name})"


def _read_available(descriptor: int, length: int) -> bytes:
    """Bytes that are there to be read; none if another program on the port was quicker."""
    try:
        data = os.read(descriptor, length)
    except BlockingIOError:
        return b""
    if not data:
        termios.tcgetattr(descriptor)  # raises if there is nothing because the device is gone
    return data
