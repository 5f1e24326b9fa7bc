"""The Feetech protocol: packets, and what each instruction does with the servos that hear it.

Packets are ``FF FF ID LEN INST params SUM`` with SUM = ~(ID + … + params) & FF; an answer has the error bits in
place of the instruction. Feetech's SDKs name the instructions; they do not say everything, see ``docs/twin.md``.
"""

from prana_ros.simulation.servo import Servo

PING = 0x01
READ = 0x02
WRITE = 0x03
REGISTER_WRITE = 0x04
ACTION = 0x05
FACTORY_RESET = 0x06
REBOOT = 0x08
CALIBRATE_OFFSET = 0x0B
SYNC_READ = 0x82
SYNC_WRITE = 0x83

BROADCAST = 0xFE
HEADER = b"\xff\xff"
MAX_LENGTH = 250
"""Longest packet, and longest read."""


def packet(servo_id: int, instruction: int, parameters: bytes = b"") -> bytes:
    """A packet: an instruction, or an answer with the error bits as ``instruction``."""
    body = bytes((servo_id, len(parameters) + 2, instruction)) + parameters
    return HEADER + body + bytes((~sum(body) & 0xFF,))


def carry_out(servo: Servo, instruction: int, parameters: bytes) -> bytes | None:
    """Let one servo carry out an instruction; its answer, if it gives one.

    The answer has the id by which the servo was called, also where the instruction changes it.
    """
    servo_id, errors = servo.id, servo.errors
    if instruction == PING:
        return packet(servo_id, errors)
    if instruction == READ and len(parameters) == 2 and parameters[1] <= MAX_LENGTH:
        return packet(servo_id, errors, servo.read(parameters[0], parameters[1]))
    if instruction == WRITE and len(parameters) >= 2:
        servo.write(parameters[0], parameters[1:])
    elif instruction == REGISTER_WRITE and len(parameters) >= 2:
        servo.register_write(parameters[0], parameters[1:])
    elif instruction == ACTION:
        servo.action()
    elif instruction == FACTORY_RESET:
        servo.factory_reset()
    elif instruction == REBOOT:
        servo.power_cycle()
    elif instruction == CALIBRATE_OFFSET and len(parameters) in (0, 2):
        servo.calibrate_offset(int.from_bytes(parameters, "little") if parameters else None)
    else:
        return None
    return packet(servo_id, errors) if servo.answers_writes else None


def sync_read(servos: list[Servo], parameters: bytes) -> list[bytes]:
    """Answers of the servos listed after address and length, in the list's order."""
    if len(parameters) < 3 or parameters[1] > MAX_LENGTH:
        return []
    address, length = parameters[:2]
    by_id = {servo.id: servo for servo in servos}
    wanted = [by_id[servo_id] for servo_id in parameters[2:] if servo_id in by_id]
    return [packet(servo.id, servo.errors, servo.read(address, length)) for servo in wanted]


def sync_write(servos: list[Servo], parameters: bytes) -> None:
    """Write the data after each id to that servo."""
    if len(parameters) < 2:
        return
    address, length = parameters[:2]
    by_id = {servo.id: servo for servo in servos}
    for start in range(2, len(parameters) - length, length + 1):
        servo = by_id.get(parameters[start])
        if servo is not None:
            servo.write(address, parameters[start + 1 : start + 1 + length])
