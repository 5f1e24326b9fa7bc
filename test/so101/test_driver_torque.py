"""The driver on the virtual bus: no motor gets torque that could not stay where it is, and none loses it unseen."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.arm import RAISED

from prana_ros.simulation import registers
from prana_ros.simulation.servo import Servo
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.driver_state import DriverMode, DriverSettings
from prana_ros.so101.model import JOINT_NAMES, REST_POSE
from prana_ros.so101.motion import REST_SLACK, Motion, motion_limits
from prana_ros.so101.motor_torque import MotorTorque
from prana_ros.so101.reading_check import SLACK, readings_outside
from prana_ros.so101.stop_ladder import StopReason
from prana_ros.so101.units import encoder_map

REST = np.array(REST_POSE)
LIFT, ELBOW = JOINT_NAMES.index("shoulder_lift"), JOINT_NAMES.index("elbow_flex")


def calibration_with(joint: str, **changes: int):
    calibration = twin_calibration()
    return calibration | {joint: dataclasses.replace(calibration[joint], **changes)}


def lose_power(rig, motor: int) -> None:
    """The motor's plug is pulled and put back between two packets."""
    rig.bus.servos[motor].power_cycle()


# -- before torque -----------------------------------------------------------------------------------------------------


def test_a_joint_outside_its_calibrated_range_gets_no_torque_and_nothing_moves(make_rig):
    """The arm was not fully folded while it was calibrated: the servo would run to the end of its range."""
    calibration = calibration_with("shoulder_lift", range_min=1200)
    rig = make_rig(calibration=calibration, rest_pose=(0.0, -1.4, 1.6, -1.0, 0.0, 0.0))
    zero, slope = encoder_map(twin_calibration())
    rig.arm.position[LIFT] = (1123 - zero[LIFT]) / slope[LIFT]
    rig.bus.update(0.0)
    rig.driver.connect()
    before = rig.arm.position.copy()
    goals = [servo.get(registers.GOAL_POSITION) for servo in rig.bus.servos]
    with pytest.raises(ValueError, match="shoulder_lift reads 1123 counts, outside its calibrated range of 1200 to"):
        rig.driver.activate()
    assert not any(rig.torque)
    assert [servo.get(registers.GOAL_POSITION) for servo in rig.bus.servos] == goals
    rig.run(0.05)
    others = [i for i in range(6) if i != LIFT]  # the shoulder sinks by itself, as it does without torque
    np.testing.assert_array_equal(rig.arm.position[others], before[others])


@pytest.mark.parametrize("way", ["activate", "set_torque"])
def test_every_way_to_torque_checks_the_reading(rig, way):
    rig.start()
    rig.driver.set_torque(False)
    if way == "activate":
        rig.driver.deactivate()
    rig.arm.position[ELBOW] = 1.80  # beyond the elbow's 1.69 rad
    rig.bus.update(0.0)
    with pytest.raises(ValueError, match=r"elbow_flex reads .* outside its calibrated range"):
        rig.driver.activate() if way == "activate" else rig.driver.set_torque(True)
    assert not any(rig.torque)


def test_a_servo_that_counts_several_turns_gets_no_torque_and_the_bit_is_named(rig, monkeypatch):
    monkeypatch.setattr(Servo, "_position", lambda servo: 5200 if servo is rig.bus.servos[3] else 2047)
    rig.driver.connect()
    with pytest.raises(ValueError, match=r"wrist_flex reads 5200 counts, beyond the 0 to 4095 .*bit 4 of its register"):
        rig.driver.activate()
    assert not any(rig.torque)


def test_a_joint_at_its_stop_is_held_there(rig):
    zero, slope = encoder_map(rig.calibration)
    at_its_stop = rig.calibration["elbow_flex"].range_max + SLACK - 1
    rig.arm.position[ELBOW] = (at_its_stop - zero[ELBOW]) / slope[ELBOW]
    rig.bus.update(0.0)
    rig.start()
    before = rig.arm.position.copy()
    rig.run(0.5)
    assert all(rig.torque)
    assert np.abs(rig.arm.position - before).max() < (SLACK + 1) / slope[ELBOW]


@given(st.lists(st.integers(-32767, 32767) | st.integers(0, 4095), min_size=6, max_size=6))
def test_a_reading_is_accepted_exactly_where_the_servo_can_keep_it(counts):
    calibration = twin_calibration()
    outside = readings_outside(np.array(counts), calibration)
    for name, count in zip(JOINT_NAMES, counts, strict=True):
        motor = calibration[name]
        # What a servo does with the present position as its goal, by its position limits.
        leap = abs(min(max(count, motor.range_min), motor.range_max) - count)
        assert (name in outside) == (leap > SLACK or not 0 <= count <= 4095)
        assert name not in outside or str(count) in outside[name]


# -- the rest pose -----------------------------------------------------------------------------------------------------


def test_a_rest_pose_outside_the_limits_is_refused(make_rig):
    with pytest.raises(ValueError, match=r"rest pose has shoulder_lift at -1.70 rad, but .* from -0.84 to 0.84 rad"):
        make_rig(calibration=calibration_with("shoulder_lift", range_min=2047, range_max=3148))


@given(st.floats(-1.9, 1.9), st.floats(0.3, 1.9))
def test_the_way_to_rest_ends_where_the_arm_lies_or_is_refused(rest, half):
    limits = motion_limits(twin_calibration(), DriverSettings())
    lift = np.arange(6) == LIFT
    limits = dataclasses.replace(
        limits, lower=np.where(lift, -half, limits.lower), upper=np.where(lift, half, limits.upper)
    )
    pose = np.where(lift, rest, REST)
    if abs(rest) > half + REST_SLACK:
        with pytest.raises(ValueError, match=f"shoulder_lift at {rest:.2f} rad"):
            Motion(limits, 100.0, pose, 0.6)
    else:
        assert np.abs(Motion(limits, 100.0, pose, 0.6).rest_pose - pose).max() <= REST_SLACK + 1e-9


# -- torque of each motor ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unplugged", [False, True])
def test_a_motor_that_lost_its_power_is_named_and_nothing_goes_on_until_it_has_torque(make_rig, unplugged):
    rig = make_rig(reply_timeout=0.05).raise_arm()
    elbow = rig.bus.servos[ELBOW]
    lose_power(rig, ELBOW)
    if unplugged:  # long enough for the driver to notice that the motor does not answer
        elbow.muted = True
        rig.run(1.0)
        elbow.muted = False
    rig.arm.position[ELBOW] -= 0.3  # it hangs
    rig.run(3.0)
    state = rig.state
    assert state.mode is DriverMode.TORQUE_PARTLY_OFF
    assert state.stop_reason is (StopReason.COMMUNICATION if unplugged else StopReason.TORQUE_LOST)
    assert "elbow_flex has no torque" in state.stop_message
    assert "set_torque" in state.stop_message
    assert state.torque.tolist() == [name != "elbow_flex" for name in JOINT_NAMES] == rig.torque
    with pytest.raises(ValueError, match=r"elbow_flex has no torque; .* Only then can the stop be cleared"):
        rig.driver.clear_stop()
    with pytest.raises(ValueError, match="elbow_flex has no torque"):
        rig.go(REST)
    hanging = rig.arm.position.copy()
    rig.driver.set_torque(True)
    assert all(rig.torque)
    rig.run(0.5)
    np.testing.assert_allclose(rig.arm.position, hanging, atol=4e-3)
    assert rig.driver.clear_stop() == ""
    rig.go(RAISED, 1.0)
    rig.run(1.5)
    np.testing.assert_allclose(rig.arm.position, RAISED, atol=4e-3)


@given(st.floats(10.0, 250.0))
def test_every_motor_is_asked_within_a_second_at_any_rate_of_the_servo_loop(rate):
    torque = MotorTorque(rate)
    asked = [torque.next_to_ask() for _ in range(round(rate))]
    assert set(asked) - {None} == set(range(6))


@pytest.mark.parametrize("motor", range(6))
def test_a_motor_that_lost_its_power_is_found_within_a_second_and_stops_the_arm(rig, motor):
    rig.raise_arm()
    rig.go(REST, 3.0)
    lose_power(rig, motor)
    rig.run(1.0, until=lambda: rig.state.stop_reason is not StopReason.NONE)
    assert rig.state.stop_reason is StopReason.TORQUE_LOST
    assert JOINT_NAMES[motor] in rig.state.stop_message
    rig.run(1.0)
    held = np.delete(rig.arm.position, [LIFT, motor])
    rig.run(1.0)
    np.testing.assert_allclose(np.delete(rig.arm.position, [LIFT, motor]), held, atol=2e-3)


def test_a_motor_that_lost_its_power_is_set_up_again_before_it_gets_torque(make_rig):
    rig = make_rig(reply_timeout=0.05).raise_arm()
    lose_power(rig, 5)
    rig.bus.servos[5].write(registers.TORQUE_LIMIT.address, (1000).to_bytes(2, "little"))
    rig.run(3.0)
    assert rig.bus.servos[5].get(registers.TORQUE_LIMIT) == 500
    rig.driver.set_torque(True)
    assert all(rig.torque)


def test_an_arm_with_a_limp_motor_is_not_moved_to_rest_and_not_dropped(make_rig):
    rig = make_rig(reply_timeout=0.05).raise_arm()
    lose_power(rig, ELBOW)
    rig.run(3.0)
    held = rig.arm.position.copy()
    rig.driver.begin_shutdown()
    rig.run(3.0)
    assert "not moved to rest, because elbow_flex has no torque" in rig.driver.shutdown_result(rig.now_ns)
    assert rig.torque == [name != "elbow_flex" for name in JOINT_NAMES]
    np.testing.assert_allclose(rig.arm.position, held, atol=2e-3)


def test_torque_that_another_program_switches_on_moves_nothing(rig):
    """The driver believes the arm limp, and its last goal is far from where the arm has been laid by hand."""
    rig.raise_arm()
    rig.driver.set_torque(False)
    rig.arm.position[:] = REST
    rig.bus.update(0.0)
    for servo in rig.bus.servos:
        count = servo.get(registers.PRESENT_POSITION)
        servo.write(registers.GOAL_POSITION.address, count.to_bytes(2, "little"))
        servo.write(registers.TORQUE_ENABLE.address, b"\1")
    rig.run(1.0)
    np.testing.assert_allclose(rig.arm.position, REST, atol=0.02)
    assert rig.mode is DriverMode.HOLDING


def test_a_stop_during_activation_says_how_to_go_on(rig):
    rig.driver.connect()
    rig.driver.stop("Wait.")
    rig.driver.activate()
    assert not any(rig.torque)
    assert rig.driver.clear_stop() == "The torque is off; set_torque switches it on where the arm is."
    with pytest.raises(ValueError, match="the torque is off; set_torque switches it on"):
        rig.go(RAISED)
    rig.driver.set_torque(True)
    rig.go(RAISED, 1.0)


def test_torque_may_be_switched_on_during_a_stop_that_holds_but_not_on_the_way_to_rest(rig):
    rig.raise_arm()
    rig.driver.stop("Wait.")
    rig.driver.set_torque(True)
    rig.bus.servos[2].temperature = 68.0
    rig.run(1.0)
    with pytest.raises(ValueError, match=r"Torque is refused while the arm is stopped: .* 68 °C"):
        rig.driver.set_torque(True)


# -- dry run -----------------------------------------------------------------------------------------------------------


def test_in_a_dry_run_no_torque_is_switched_on_and_nothing_moves(make_rig):
    rig = make_rig(dry_run=True)
    rig.start()
    rig.run(0.3)
    assert (rig.mode, any(rig.torque), rig.state.counters.commands_sent) == (DriverMode.TORQUE_OFF, False, 0)
    for refused in (lambda: rig.go(RAISED), lambda: rig.driver.go_to_rest(rig.now_ns)):
        with pytest.raises(ValueError, match="this is a dry run, in which the arm does not move"):
            refused()
    rig.driver.begin_shutdown()
    assert rig.driver.shutdown_result(rig.now_ns) == ""


def test_in_a_dry_run_torque_that_was_asked_for_holds_and_nothing_else(make_rig):
    rig = make_rig(RAISED, dry_run=True)
    rig.start()
    rig.driver.set_torque(True)
    held = rig.arm.position.copy()
    rig.bus.servos[2].temperature = 68.0
    rig.run(3.0)
    assert rig.state.stop_reason is StopReason.OVER_TEMPERATURE
    rig.driver.begin_shutdown()
    rig.run(3.0)
    np.testing.assert_allclose(rig.arm.position, held, atol=2e-3)
    assert all(rig.torque)
    assert "because this is a dry run" in rig.driver.shutdown_result(rig.now_ns)


def test_a_dry_run_leaves_an_arm_that_holds_as_it_is(rig):
    rig.raise_arm()
    rig.driver.close()
    held = rig.arm.position.copy()
    rig.settings = dataclasses.replace(rig.settings, dry_run=True)
    rig.driver = rig.new_driver()
    rig.start()
    rig.run(1.0)
    np.testing.assert_allclose(rig.arm.position, held, atol=1e-6)
    assert all(rig.torque)
