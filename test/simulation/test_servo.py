"""One servo: its memory table, its encoder, its protections, its motion profile."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lerobot.motors.encoding_utils import decode_sign_magnitude, encode_sign_magnitude
from lerobot.motors.feetech.tables import STS_SMS_SERIES_CONTROL_TABLE, STS_SMS_SERIES_ENCODINGS_TABLE
from support.servos import COUNT, STALL, STEP, new_servo, stand, write

from prana_ros.simulation import registers as r
from prana_ros.simulation.registers import ErrorBits
from prana_ros.simulation.servo import Servo

LEROBOT_NAMES = {
    "Firmware_Major_Version": r.FIRMWARE_MAJOR, "Firmware_Minor_Version": r.FIRMWARE_MINOR, "Model_Number": r.MODEL,
    "ID": r.ID, "Baud_Rate": r.BAUD_RATE, "Return_Delay_Time": r.RETURN_DELAY,
    "Response_Status_Level": r.RESPONSE_LEVEL, "Min_Position_Limit": r.MIN_POSITION,
    "Max_Position_Limit": r.MAX_POSITION, "Max_Temperature_Limit": r.MAX_TEMPERATURE,
    "Max_Voltage_Limit": r.MAX_VOLTAGE, "Min_Voltage_Limit": r.MIN_VOLTAGE, "Max_Torque_Limit": r.MAX_TORQUE,
    "Phase": r.PHASE, "Unloading_Condition": r.UNLOADING_CONDITION, "LED_Alarm_Condition": r.LED_CONDITION,
    "P_Coefficient": r.P_COEFFICIENT, "D_Coefficient": r.D_COEFFICIENT, "I_Coefficient": r.I_COEFFICIENT,
    "Minimum_Startup_Force": r.STARTUP_FORCE, "CW_Dead_Zone": r.CW_DEAD_ZONE, "CCW_Dead_Zone": r.CCW_DEAD_ZONE,
    "Protection_Current": r.PROTECTION_CURRENT, "Angular_Resolution": r.ANGULAR_RESOLUTION,
    "Homing_Offset": r.HOMING_OFFSET, "Operating_Mode": r.OPERATING_MODE, "Protective_Torque": r.PROTECTIVE_TORQUE,
    "Protection_Time": r.PROTECTION_TIME, "Overload_Torque": r.OVERLOAD_TORQUE,
    "Velocity_closed_loop_P_proportional_coefficient": r.VELOCITY_P_COEFFICIENT,
    "Over_Current_Protection_Time": r.OVERCURRENT_TIME,
    "Velocity_closed_loop_I_integral_coefficient": r.VELOCITY_I_COEFFICIENT, "Torque_Enable": r.TORQUE_ENABLE,
    "Acceleration": r.ACCELERATION, "Goal_Position": r.GOAL_POSITION, "Goal_Time": r.GOAL_TIME,
    "Goal_Velocity": r.GOAL_VELOCITY, "Torque_Limit": r.TORQUE_LIMIT, "Lock": r.LOCK,
    "Present_Position": r.PRESENT_POSITION, "Present_Velocity": r.PRESENT_VELOCITY, "Present_Load": r.PRESENT_LOAD,
    "Present_Voltage": r.PRESENT_VOLTAGE, "Present_Temperature": r.PRESENT_TEMPERATURE, "Status": r.STATUS,
    "Moving": r.MOVING, "Present_Current": r.PRESENT_CURRENT, "Goal_Position_2": r.GOAL_POSITION_2,
    "Moving_Velocity_Threshold": r.MOVING_THRESHOLD, "Maximum_Acceleration": r.MAX_ACCELERATION,
}  # fmt: skip

angles = st.floats(-3.0, 3.0)


@pytest.mark.parametrize("name", LEROBOT_NAMES)
def test_registers_are_where_lerobot_looks_for_them(name):
    register = LEROBOT_NAMES[name]
    assert (register.address, register.size) == STS_SMS_SERIES_CONTROL_TABLE[name]
    assert register.sign_bit == STS_SMS_SERIES_ENCODINGS_TABLE.get(name)


@pytest.mark.parametrize("register", [x for x in LEROBOT_NAMES.values() if x.sign_bit], ids=str)
def test_signed_values_are_coded_as_lerobot_codes_them(register):
    top = (1 << register.sign_bit) - 1
    for value in {-top, -top // 3, -1, 0, 1, top // 7, top}:
        raw = int.from_bytes(r.encode(register, value), "little")
        assert raw == encode_sign_magnitude(value, register.sign_bit)
        memory = bytes(register.address) + r.encode(register, value)
        assert r.decode(register, memory) == decode_sign_magnitude(raw, register.sign_bit) == value


@given(angle=angles, zero=st.floats(0, 4095), homing=st.integers(-2047, 2047))
def test_present_position_is_the_encoder_less_the_homing_offset_within_one_turn(angle, zero, homing):
    servo = new_servo(zero)
    write(servo, r.HOMING_OFFSET, homing)
    servo.update(angle, 0.0, 0.0, STEP)
    position = servo.get(r.PRESENT_POSITION)
    assert 0 <= position < 4096
    error = (position + homing - zero) * COUNT - angle
    assert abs(math.remainder(error, 2 * math.pi)) <= COUNT / 2 + 1e-9


@given(angle=angles, homing=st.integers(-2047, 2047))
def test_the_present_position_as_goal_is_no_motion(angle, homing):
    servo = new_servo()
    write(servo, r.HOMING_OFFSET, homing)
    servo.update(angle, 0.0, 0.0, STEP)
    write(servo, r.GOAL_POSITION, servo.get(r.PRESENT_POSITION))
    write(servo, r.TORQUE_ENABLE, 1)
    servo.update(angle, 0.0, 0.0, STEP)
    assert abs(servo.target - angle) <= COUNT / 2 + 1e-9


@given(goal=st.integers(-32767, 32767), limits=st.tuples(st.integers(0, 4095), st.integers(0, 4095)))
def test_goals_stay_within_the_position_limits(goal, limits):
    low, high = sorted(limits)
    assume(low < high)
    servo = new_servo(2047.5, low, high)
    write(servo, r.GOAL_POSITION, goal)
    servo.update(0.0, 0.0, 0.0, STEP)
    assert low - 1e-6 <= 2047.5 + servo.target / COUNT <= high + 1e-6


def test_torque_without_a_goal_holds_the_present_position():
    servo = new_servo()
    stand(servo, 0.4)
    write(servo, r.TORQUE_ENABLE, 1)
    stand(servo, 0.1)
    assert servo.driving
    assert servo.target == 0.4


def test_torque_that_comes_back_pulls_to_the_old_goal_as_the_real_servo_does():
    servo = new_servo()
    write(servo, r.TORQUE_ENABLE, 1)
    write(servo, r.GOAL_POSITION, 3000)
    write(servo, r.TORQUE_ENABLE, 0)
    stand(servo, -0.5)
    write(servo, r.TORQUE_ENABLE, 1)
    stand(servo, -0.5)
    assert servo.target == pytest.approx((3000 - 2047.5) * COUNT)


def test_measured_registers_cannot_be_written():
    servo = new_servo()
    stand(servo, 0.2)
    before = servo.read(0, 5) + servo.read(56, 17)
    servo.write(0, bytes(5))
    servo.write(56, b"\xaa" * 17)
    assert servo.read(0, 5) + servo.read(56, 17) == before


@given(address=st.integers(0, 255), data=st.binary(max_size=80), length=st.integers(0, 250))
def test_no_write_and_no_read_can_break_the_servo(address, data, length):
    servo = new_servo()
    servo.write(address, data)
    servo.update(0.1, 0.2, 0.3, STEP)
    assert len(servo.read(address, length)) == length
    assert math.isfinite(servo.target)
    assert 0.0 <= servo.torque_fraction <= 65.535
    assert not servo.driving or servo.get(r.TORQUE_ENABLE)


def test_eprom_keeps_only_what_was_written_unlocked():
    servo = new_servo()
    write(servo, r.P_COEFFICIENT, 16)
    write(servo, r.LOCK, 0)
    write(servo, r.HOMING_OFFSET, -300)
    write(servo, r.TORQUE_ENABLE, 1)
    servo.power_cycle()
    assert servo.get(r.HOMING_OFFSET) == -300
    assert servo.get(r.P_COEFFICIENT) == 32
    assert servo.get(r.LOCK) == 1
    assert not servo.driving


def test_a_factory_reset_keeps_the_id_and_forgets_everything_else():
    servo = new_servo(low=500, high=3000)
    write(servo, r.LOCK, 0)
    for register, value in ((r.BAUD_RATE, 1), (r.HOMING_OFFSET, -300), (r.OPERATING_MODE, 1), (r.P_COEFFICIENT, 16)):
        write(servo, register, value)
    write(servo, r.TORQUE_ENABLE, 1)
    servo.factory_reset()
    for _ in range(2):
        assert servo.id == 3
        assert servo.baud_rate == 1_000_000
        assert (servo.get(r.MIN_POSITION), servo.get(r.MAX_POSITION)) == (0, 4095)
        assert (servo.get(r.HOMING_OFFSET), servo.get(r.OPERATING_MODE), servo.get(r.P_COEFFICIENT)) == (0, 0, 32)
        assert not servo.driving
        servo.power_cycle()


@given(angle=angles, homing=st.integers(-2047, 2047), position=st.integers(0, 4095))
def test_an_offset_calibration_makes_the_present_position_what_was_asked_for(angle, homing, position):
    servo = new_servo()
    write(servo, r.HOMING_OFFSET, homing)
    servo.update(angle, 0.0, 0.0, STEP)
    servo.calibrate_offset(position)
    servo.power_cycle()
    servo.update(angle, 0.0, 0.0, STEP)
    # The offset of exactly half a turn is one more than the register can hold.
    assert abs(math.remainder(servo.get(r.PRESENT_POSITION) - position, 4096)) <= 1


def test_an_offset_calibration_without_a_position_takes_the_middle_of_the_turn():
    servo = new_servo()
    servo.update(0.7, 0.0, 0.0, STEP)
    servo.calibrate_offset(None)
    assert servo.get(r.PRESENT_POSITION) == 2048


@pytest.mark.parametrize(("register", "value"), [(r.VELOCITY_P_COEFFICIENT, 10), (r.VELOCITY_I_COEFFICIENT, 10)])
def test_the_velocity_loop_has_its_factory_coefficients(register, value):
    assert new_servo().get(register) == value


def test_a_registered_write_waits_for_the_action():
    servo = new_servo()
    servo.register_write(r.GOAL_POSITION.address, r.encode(r.GOAL_POSITION, 2500))
    before = servo.get(r.GOAL_POSITION)
    assert before != 2500
    servo.action()
    assert servo.get(r.GOAL_POSITION) == 2500
    write(servo, r.GOAL_POSITION, 2600)
    servo.action()
    assert servo.get(r.GOAL_POSITION) == 2600


@given(angle=angles)
def test_128_in_torque_enable_makes_the_present_position_the_middle(angle):
    servo = new_servo()
    servo.update(angle, 0.0, 0.0, STEP)
    write(servo, r.TORQUE_ENABLE, 128)
    assert abs(servo.get(r.PRESENT_POSITION) - 2048) <= 1
    assert not servo.driving


def overloaded(sign: float = 1.0) -> Servo:
    """A servo that holds its goal at angle 0 against an obstacle on the way, beyond its patience."""
    servo = new_servo()
    write(servo, r.TORQUE_ENABLE, 1)
    write(servo, r.GOAL_POSITION, 2047 + round(sign * 400))
    stand(servo, 0.0, sign * 0.9 * STALL, seconds=2.1)
    assert servo.errors == ErrorBits.OVERLOAD
    return servo


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_overload_latches_weakens_and_is_shown(sign):
    servo = overloaded(sign)
    assert servo.torque_fraction == pytest.approx(0.2)
    assert servo.driving
    stand(servo, 0.0, 0.0, seconds=1.0)
    assert servo.errors == servo.get(r.STATUS) == ErrorBits.OVERLOAD


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_goal_away_from_the_load_releases_the_overload_and_one_into_it_does_not(sign):
    servo = overloaded(sign)
    write(servo, r.GOAL_POSITION, 2047 + round(sign * 100))
    assert servo.errors == ErrorBits.OVERLOAD
    write(servo, r.GOAL_POSITION, 2047 - round(sign * 5))
    assert servo.errors == 0
    assert servo.torque_fraction == 1.0


@pytest.mark.parametrize("torque", [0, 1])
def test_switching_the_torque_releases_the_overload(torque):
    servo = overloaded()
    write(servo, r.TORQUE_ENABLE, torque)
    assert servo.errors == 0


def test_a_short_load_is_no_overload():
    servo = new_servo()
    for _ in range(5):
        stand(servo, 0.0, 0.9 * STALL, seconds=1.9)
        stand(servo, 0.0, 0.5 * STALL, seconds=0.1)
    assert servo.errors == 0


def test_the_grippers_settings_of_lerobot_protect_it_earlier():
    servo = new_servo()
    for register, value in ((r.MAX_TORQUE, 500), (r.PROTECTION_CURRENT, 250), (r.OVERLOAD_TORQUE, 25)):
        write(servo, register, value)
    assert servo.torque_fraction == 0.5
    stand(servo, 0.0, 0.3 * STALL, seconds=2.1)
    assert servo.errors == ErrorBits.OVERLOAD


def test_overcurrent_switches_the_motor_off():
    servo = new_servo()
    write(servo, r.PROTECTION_CURRENT, 100)
    write(servo, r.OVERLOAD_TORQUE, 100)
    write(servo, r.TORQUE_ENABLE, 1)
    stand(servo, 0.0, 0.7 * STALL, seconds=2.1)
    assert servo.errors == ErrorBits.OVERCURRENT
    assert not servo.driving


def test_heat_switches_the_motor_off_until_it_has_cooled():
    servo = new_servo()
    write(servo, r.TORQUE_ENABLE, 1)
    servo.temperature = 71.0
    assert servo.errors == ErrorBits.OVERHEAT
    assert not servo.driving
    servo.temperature = 60.0
    assert servo.errors == 0
    assert servo.driving


@pytest.mark.parametrize("volts", [3.5, 14.5])
def test_voltage_outside_the_limits_is_shown(volts):
    servo = new_servo()
    servo.supply_voltage = volts
    assert servo.get(r.STATUS) == ErrorBits.VOLTAGE
    assert servo.get(r.PRESENT_VOLTAGE) == round(volts * 10)


@given(load=st.floats(0.0, 1.0))
def test_the_case_warms_towards_a_temperature_set_by_the_load(load):
    servo = new_servo()
    for _ in range(3000):
        servo.update(0.0, 0.0, load * STALL, 1.0)
    assert servo.temperature == pytest.approx(25.0 + 60.0 * load**2, abs=0.1)


def test_load_and_current_follow_the_torque():
    servo = new_servo()
    stand(servo, 0.0, -STALL / 2)
    assert servo.get(r.PRESENT_LOAD) == -500
    assert servo.get(r.PRESENT_CURRENT) * 0.0065 == pytest.approx(1.35, abs=0.01)


def profile(velocity: int, acceleration: int, goal: int, seconds: float) -> np.ndarray:
    """Targets in counts, every ``STEP``, of a servo that follows its goal perfectly."""
    servo = new_servo(2048.0)
    write(servo, r.ACCELERATION, acceleration)
    write(servo, r.GOAL_VELOCITY, velocity)
    write(servo, r.TORQUE_ENABLE, 1)
    write(servo, r.GOAL_POSITION, goal)
    targets = [0.0]
    for _ in range(round(seconds / STEP)):
        servo.update(targets[-1] * COUNT, 0.0, 0.0, STEP)
        targets.append(servo.target / COUNT)
    return np.array(targets)


@given(
    velocity=st.integers(100, 4000), acceleration=st.sampled_from([0, 1, 20, 253, 254]), goal=st.integers(1000, 3000)
)
def test_the_target_keeps_to_velocity_and_acceleration_and_arrives(velocity, acceleration, goal):
    distance = abs(goal - 2048)
    limit = acceleration * 100 if 0 < acceleration < 254 else math.inf
    seconds = distance / velocity + 2 * math.sqrt(distance / limit) + velocity / limit + 0.1
    targets = profile(velocity, acceleration, goal, seconds)
    speed = np.abs(np.diff(targets)) / STEP
    assert speed.max(initial=0.0) <= velocity * (1 + 1e-6)
    speeding_up = np.diff(np.concatenate([[0.0], speed])) / STEP
    assert speeding_up.max(initial=0.0) <= limit * (1 + 1e-6)
    assert np.all(np.diff(np.abs(targets - (goal - 2048))) <= 1e-9), "overshoot"
    assert targets[-1] == pytest.approx(goal - 2048, abs=1.0)


def test_without_profile_the_target_is_the_goal_at_once():
    assert profile(0, 254, 3000, 3 * STEP)[1] == pytest.approx(952.0)
