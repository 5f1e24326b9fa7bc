"""What is checked when the arm is connected, before anything can move: the six servos, and what their memory holds.

Homing_Offset and the position limits lie in the servos' EEPROM. They are where LeRobot's calibration put them; with
another arm's calibration file every zero and every limit would mean something else. So they are compared with the file
and written only if that was asked for.
"""

from typing import Protocol

from lerobot.motors.feetech import FeetechMotorsBus

from prana_ros.so101.bus_errors import BusError, CommunicationError
from prana_ros.so101.bus_scan import SILENCE, Line, explain_silence
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.servo_settings import MULTI_TURN_BIT, calibration_settings, settings_of
from prana_ros.so101.units import Calibration

MODEL = "sts3215"


class Servos(Line, Protocol):
    """The registers of an arm's servos, on an open line."""

    port: str
    calibration: Calibration
    reply_timeout: float

    def read_register(self, register: str, motor: str) -> int:
        """Value of a register."""

    def write_register(self, register: str, motor: str, value: int) -> None:
        """Write a register."""


def check_servos(servos: Servos, scan: bool) -> None:
    """Refuse an arm that does not have the six servos of an SO-101, all with one firmware.

    With ``scan``, a second or so is spent on finding out what is there instead of those that do not answer.

    Raises:
        BusError: one sentence.
    """
    model_number = FeetechMotorsBus.model_number_table[MODEL]
    silent, firmware = [], set()
    for name in JOINT_NAMES:
        try:
            model = servos.read_register("Model_Number", name)
        except CommunicationError:
            silent.append(name)
            continue
        if model != model_number:
            raise BusError(
                f"{_motor(servos, name)} on '{servos.port}' is of model {model}; an SO-101 has {MODEL} "
                f"({model_number})."
            )
        firmware.add(
            (servos.read_register("Firmware_Major_Version", name), servos.read_register("Firmware_Minor_Version", name))
        )
    if silent:
        listed = ", ".join(f"{servos.calibration[name].id} ({name})" for name in silent)
        reason = "are the cables in and is the power supply of the arm on?"
        if scan:
            ids = [servos.calibration[name].id for name in JOINT_NAMES]
            reason = explain_silence(servos, ids, max(SILENCE, servos.reply_timeout))
        raise BusError(f"On '{servos.port}' the motors {listed} do not answer; {reason}")
    if len(firmware) > 1:
        found = ", ".join(f"{major}.{minor}" for major, minor in sorted(firmware))
        raise BusError(f"The servos on '{servos.port}' have different firmware ({found}); it must be the same in all.")


def check_calibration(servos: Servos) -> None:
    """Refuse servos whose memory is not what the calibration file says, or that count several turns.

    Raises:
        BusError: one sentence with both values of every motor that differs.
    """
    differences = [
        f"{_motor(servos, name)} has {', '.join(different)}"
        for name in JOINT_NAMES
        if (different := _differences(servos, name))
    ]
    if differences:
        raise BusError(
            f"The arm on '{servos.port}' was calibrated differently from the calibration file: "
            f"{'; '.join(differences)}; if this is another arm's file, name the right robot_id, else start once with "
            "write_calibration to write the file into the motors."
        )
    # Only now: what clears the bit writes the file, too, and that must be the right one.
    several_turns = [name for name in JOINT_NAMES if _counts_several_turns(servos, name)]
    if several_turns:
        listed = " and ".join(_motor(servos, name) for name in several_turns)
        raise BusError(
            f"{listed} on '{servos.port}' counts several turns: bit 4 of the register Phase (18) is set, so that its "
            "readings leave 0 to 4095; start once with write_calibration to clear it."
        )


def write_calibration(servos: Servos) -> None:
    """Write the calibration into servos whose memory differs, let each count one turn only, and read it back.

    Raises:
        BusError: if a motor holds the arm, or did not take a value; nothing is written unless all motors are limp.
    """
    different = [name for name in JOINT_NAMES if _differences(servos, name) or _counts_several_turns(servos, name)]
    if not different:
        return
    for name in JOINT_NAMES:
        if servos.read_register("Torque_Enable", name):
            raise BusError(
                f"The calibration is not written: {_motor(servos, name)} holds the arm, and "
                f"{', '.join(different)} would read otherwise afterwards; support the "
                "arm, switch its power off and on, and start again."
            )
    for name in different:
        phase = servos.read_register("Phase", name)
        values = calibration_settings(servos.calibration[name]) | {"Phase": phase & ~MULTI_TURN_BIT}
        _write(servos, name, values)
        for register, value in values.items():
            found = servos.read_register(register, name)
            if found != value:
                raise BusError(
                    f"{_motor(servos, name)} on '{servos.port}' was to keep {register} {value}, but it has {found}; "
                    "its memory cannot be written."
                )


def apply_settings(servos: Servos) -> None:
    """Write the settings of a follower arm where they differ; torque is left as it is.

    Raises:
        BusError: if a motor holds the arm in another operating mode, in which its goal means something else.
    """
    for name in JOINT_NAMES:
        wanted = settings_of(name)
        found = {register: servos.read_register(register, name) for register in wanted}
        mode = found["Operating_Mode"]
        if mode != wanted["Operating_Mode"] and servos.read_register("Torque_Enable", name):
            raise BusError(
                f"{_motor(servos, name)} on '{servos.port}' has torque in Operating_Mode {mode}, and the arm needs "
                f"{wanted['Operating_Mode']} (position); support the arm, switch its power off and on, and start again."
            )
        different = {register: value for register, value in wanted.items() if found[register] != value}
        if different:
            _write(servos, name, different)


def _write(servos: Servos, name: str, values: dict[str, int]) -> None:
    """Write registers of one motor, with its memory unlocked for as long as that takes."""
    servos.write_register("Lock", name, 0)
    for register, value in values.items():
        servos.write_register(register, name, value)
    servos.write_register("Lock", name, 1)


def _differences(servos: Servos, name: str) -> list[str]:
    """Registers of the calibration that differ from the file, with the motor's value and the file's."""
    wanted = calibration_settings(servos.calibration[name])
    found = {register: servos.read_register(register, name) for register in wanted}
    return [f"{key} {found[key]} (file: {value})" for key, value in wanted.items() if found[key] != value]


def _counts_several_turns(servos: Servos, name: str) -> bool:
    return bool(servos.read_register("Phase", name) & MULTI_TURN_BIT)


def _motor(servos: Servos, name: str) -> str:
    return f"motor {servos.calibration[name].id} ({name})"
