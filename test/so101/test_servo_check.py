"""What a driver finds out about the servos before it may switch torque on, with the real SDK on the virtual port."""

import dataclasses

import numpy as np
import pytest
from support.arm import IdealArm

from prana_ros.simulation import registers as r
from prana_ros.simulation.servo import Servo
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.so101.bus import ArmBus
from prana_ros.so101.bus_errors import BusError
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.servo_settings import settings_of

CALIBRATION_REGISTERS = (r.HOMING_OFFSET, r.MIN_POSITION, r.MAX_POSITION)
OTHER_ARM = twin_calibration([-120, 30, 400, -7, 1, 55])


@pytest.fixture
def servos(tmp_path):
    with ServoBus(IdealArm((0.2, -0.5, 0.4, 0.3, -0.2, 0.6)), tmp_path / "arm") as bus:
        yield bus


@pytest.fixture
def connect(servos):
    """Connect a new bus to the servos; it is closed in the end."""
    opened = []

    def connect(calibration=None, reply_timeout=0.5, **changes):
        opened.append(
            ArmBus(str(servos.link), calibration or twin_calibration(), reply_timeout=reply_timeout, **changes)
        )
        opened[-1].connect()
        return opened[-1]

    yield connect
    for bus in opened:
        bus.close()


@pytest.fixture
def bus(servos):
    bus = ArmBus(str(servos.link), twin_calibration(), reply_timeout=0.5)
    yield bus
    bus.close()


def put(servo: Servo, register: r.Register, value: int) -> None:
    """Write a register as another program does, and keep it."""
    servo.write(r.LOCK.address, b"\0")
    servo.write(register.address, r.encode(register, value))
    servo.write(r.LOCK.address, b"\1")


def memory(servos) -> list[bytes]:
    """The EEPROM of all servos."""
    return [servo.read(0, r.RAM_START) for servo in servos.servos]


# -- settings ----------------------------------------------------------------------------------------------------------


def test_connecting_writes_lerobots_settings_and_keeps_them_in_memory(servos, bus):
    bus.connect()
    for servo, name in zip(servos.servos, JOINT_NAMES, strict=True):
        servo.power_cycle()
        for register, value in settings_of(name).items():
            address, _ = bus._address(register)
            if address < r.RAM_START:
                assert (
                    next(
                        servo.get(known)
                        for known in r.FACTORY | {r.OPERATING_MODE: 0, r.I_COEFFICIENT: 0, r.OVERLOAD_TORQUE: 0}
                        if known.address == address
                    )
                    == value
                ), register
        assert servo.get(r.LOCK) == 1


def test_an_arm_that_needs_nothing_is_written_nothing_and_keeps_its_torque(servos, bus):
    bus.connect()
    for name in JOINT_NAMES:
        bus.hold(name, 0.3)
    bus.close()
    written = []
    for servo in servos.servos:
        servo.write = lambda address, data, servo=servo: written.append((servo.id, address, data))
    bus.connect()
    assert written == []
    np.testing.assert_array_equal(bus.torque_enabled(), [True] * 6)


def test_a_motor_that_holds_the_arm_in_another_operating_mode_is_refused_and_left_alone(servos, connect):
    put(servos.servos[1], r.OPERATING_MODE, r.OperatingMode.VELOCITY)
    servos.servos[1].write(r.TORQUE_ENABLE.address, b"\1")
    with pytest.raises(BusError, match=r"motor 2 \(shoulder_lift\) .* has torque in Operating_Mode 1, .* needs 0"):
        connect()
    assert servos.servos[1].get(r.OPERATING_MODE) == r.OperatingMode.VELOCITY
    servos.servos[1].power_cycle()
    connect()
    assert servos.servos[1].get(r.OPERATING_MODE) == r.OperatingMode.POSITION


# -- calibration -------------------------------------------------------------------------------------------------------


def test_an_arm_that_does_not_match_its_file_is_refused_with_both_values_and_nothing_is_written(servos, connect):
    before = memory(servos)
    with pytest.raises(BusError, match=r"calibrated differently from the calibration file") as refusal:
        connect(OTHER_ARM)
    assert memory(servos) == before
    sentence = str(refusal.value)
    for name, motor in OTHER_ARM.items():
        assert f"motor {motor.id} ({name}) has Homing_Offset 0 (file: {motor.homing_offset})" in sentence
    assert "name the right robot_id" in sentence
    assert "write_calibration" in sentence
    assert "\n" not in sentence
    assert sentence.count(". ") == 0


@pytest.mark.parametrize("field", ["range_min", "range_max"])
def test_position_limits_belong_to_the_calibration(servos, connect, field):
    calibration = twin_calibration()
    value = getattr(calibration["elbow_flex"], field)
    calibration["elbow_flex"] = dataclasses.replace(calibration["elbow_flex"], **{field: value - 4})
    register = {"range_min": "Min_Position_Limit", "range_max": "Max_Position_Limit"}[field]
    with pytest.raises(
        BusError, match=rf"file: motor 3 \(elbow_flex\) has {register} {value} \(file: {value - 4}\); if"
    ):
        connect(calibration)


def test_a_calibration_is_written_on_request_and_survives_a_loss_of_power(servos, connect):
    connect(OTHER_ARM, write_calibration=True).close()
    for servo, motor in zip(servos.servos, OTHER_ARM.values(), strict=True):
        servo.power_cycle()
        kept = [servo.get(register) for register in CALIBRATION_REGISTERS]
        assert kept == [motor.homing_offset, motor.range_min, motor.range_max]
    connect(OTHER_ARM)


def test_nothing_is_written_while_any_motor_holds_the_arm(servos, connect):
    servos.servos[4].write(r.TORQUE_ENABLE.address, b"\1")
    before = memory(servos)
    calibration = twin_calibration() | {"shoulder_pan": OTHER_ARM["shoulder_pan"]}
    with pytest.raises(BusError, match=r"not written: motor 5 \(wrist_roll\) holds the arm, and shoulder_pan would"):
        connect(calibration, write_calibration=True)
    assert memory(servos) == before
    assert servos.servos[4].get(r.TORQUE_ENABLE) == 1


def test_an_arm_that_matches_may_hold_while_writing_is_asked_for(servos, connect):
    servos.servos[4].write(r.TORQUE_ENABLE.address, b"\1")
    connect(write_calibration=True)


def test_a_motor_that_does_not_keep_what_is_written_is_named(servos, connect):
    elbow = servos.servos[2]
    written = elbow.write

    def forget(address, data):
        if address != r.HOMING_OFFSET.address:
            written(address, data)

    elbow.write = forget
    with pytest.raises(BusError, match=r"motor 3 \(elbow_flex\) .* was to keep Homing_Offset 400, but it has 0"):
        connect(OTHER_ARM, write_calibration=True)


def test_an_arm_that_is_plugged_in_later_is_not_written(servos, connect):
    bus = connect(write_calibration=True)
    bus.close()
    servos.assemble(OTHER_ARM)
    before = memory(servos)
    with pytest.raises(BusError, match="calibrated differently"):
        bus.connect()
    assert memory(servos) == before


def test_a_motor_that_counts_several_turns_is_refused_until_the_bit_may_be_cleared(servos, connect):
    wrist = servos.servos[3]
    put(wrist, r.PHASE, 12 | 16)
    with pytest.raises(
        BusError, match=r"motor 4 \(wrist_flex\) .*: bit 4 of the register Phase \(18\) .*write_calibration"
    ):
        connect()
    assert wrist.get(r.PHASE) == 28
    connect(write_calibration=True)
    wrist.power_cycle()
    assert wrist.get(r.PHASE) == 12


def test_the_way_to_one_turn_is_not_named_while_it_would_write_another_arms_file(servos, connect):
    """Whoever followed it would overwrite the offsets without having seen that they differ."""
    put(servos.servos[3], r.PHASE, 12 | 16)
    with pytest.raises(BusError, match=r"calibrated differently .*name the right robot_id"):
        connect(OTHER_ARM)


# -- who is there ------------------------------------------------------------------------------------------------------


def test_silent_motors_are_named(servos):
    servos.servos[1].muted = servos.servos[4].muted = True
    bus = ArmBus(str(servos.link), twin_calibration(), reply_timeout=0.05)
    with pytest.raises(BusError, match=r"the motors 2 \(shoulder_lift\), 5 \(wrist_roll\) do not answer"):
        bus.connect()
    servos.servos[1].muted = servos.servos[4].muted = False
    bus.reply_timeout = 0.5
    bus.connect()
    bus.close()


def test_servos_of_another_kind_are_refused(servos, bus):
    servos.servos[5]._put(r.MODEL, 1284)
    with pytest.raises(BusError, match=r"motor 6 \(gripper\) on .* is of model 1284; an SO-101 has sts3215"):
        bus.connect()
    servos.servos[5]._put(r.MODEL, 777)
    servos.servos[0]._put(r.FIRMWARE_MINOR, 9)
    with pytest.raises(BusError, match=r"different firmware \(3.9, 3.10\)"):
        bus.connect()


def test_the_ids_that_answer_are_told_where_a_cable_is_out(servos, connect):
    servos.connect_servos([1, 2, 3])
    with pytest.raises(BusError, match=r"4 \(wrist_flex\), .* do not answer; only 1, 2, 3 answer; are the cables in"):
        connect(reply_timeout=0.05)


def test_a_motor_that_was_never_set_shows_as_two_with_the_id_1(servos, connect):
    put(servos.servos[5], r.ID, 1)
    with pytest.raises(BusError, match=r"6 \(gripper\) do not answer; several motors have the id 1, .*setup-motors"):
        connect(reply_timeout=0.05)


def test_six_new_motors_are_told_to_be_set_up(servos, connect):
    servos.put_in_new_servos()
    servos.update(0.0)
    with pytest.raises(BusError, match=r"several motors have the id 1, as their answers collide .*setup-motors"):
        connect(reply_timeout=0.05)


def test_a_motor_with_an_id_of_its_own_is_told(servos, connect):
    put(servos.servos[5], r.ID, 9)
    with pytest.raises(BusError, match=r"the ids 1, 2, 3, 4, 5, 9 answer, and an SO-101 has 1, 2, 3, 4, 5, 6"):
        connect(reply_timeout=0.05)


@pytest.mark.parametrize("rate", [500_000, 250_000, 38_400])
def test_motors_at_another_speed_are_told_with_it_and_the_line_is_left_at_the_arms(servos, connect, bus, rate):
    for servo in servos.servos:
        put(servo, r.BAUD_RATE, r.BAUD_RATES.index(rate))
    with pytest.raises(
        BusError, match=rf"at {rate} baud the ids 1, 2, 3, 4, 5, 6 answer, but .* 1000000 baud; .*setup"
    ):
        connect(reply_timeout=0.05)
    for servo in servos.servos:
        put(servo, r.BAUD_RATE, 0)
    bus.connect()


def test_a_line_without_motors_says_so(servos, connect):
    servos.connect_servos([])
    with pytest.raises(BusError, match="nothing answers at any speed; are the cables in and is the power supply"):
        connect(reply_timeout=0.05)


def test_a_running_driver_that_lost_its_arm_does_not_scan_the_line(servos, connect):
    bus = connect(reply_timeout=0.05)
    bus.close()
    servos.connect_servos([1, 2, 3])
    asked = servos.packets
    with pytest.raises(BusError, match="do not answer; are the cables in and is the power supply of the arm on"):
        bus.connect()
    assert servos.packets - asked == 3 * 3 + 3 * 5
