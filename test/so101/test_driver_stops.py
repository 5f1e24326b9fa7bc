"""What stops the driver's arm, and how far down the ladder each stop goes."""

import numpy as np
import pytest
from support.arm import RAISED

from prana_ros.simulation.registers import ErrorBits
from prana_ros.so101.driver_state import DriverMode
from prana_ros.so101.model import REST_POSE
from prana_ros.so101.stop_ladder import StopReason

REST = np.array(REST_POSE)


def run_until_limp_at_rest(rig):
    rig.run(20.0, until=lambda: rig.mode is DriverMode.TORQUE_OFF)
    assert not any(rig.torque)
    np.testing.assert_allclose(rig.arm.position[:5], REST[:5], atol=0.03)


def test_the_stop_service_brakes_without_coming_back(rig):
    rig.raise_arm()
    rig.go([1.5, *RAISED[1:]], 1.0)
    rig.run(0.5)
    rig.driver.stop("Enough.")
    rig.history.clear()
    rig.run(1.0)
    path = np.array(rig.history)[:, 0]
    assert np.all(np.diff(path) >= -1e-9)
    assert path[-1] - path[0] < 0.1
    assert (rig.mode, rig.state.stop_message) == (DriverMode.STOPPED, "Enough.")
    assert all(rig.torque)


def test_heat_walks_down_the_whole_ladder_and_is_not_dropped(rig):
    rig.raise_arm()
    rig.bus.servos[2].temperature = 68.0
    rig.run(0.2)
    assert rig.mode is DriverMode.HOLDING  # a single odd reading would stop nothing
    rig.run(0.3)
    assert (rig.mode, rig.state.stop_reason) == (DriverMode.STOPPED, StopReason.OVER_TEMPERATURE)
    assert "elbow_flex has 68 °C; allowed are 65 °C" in rig.state.stop_message
    rig.run(0.6)
    assert rig.mode is DriverMode.RETURNING
    run_until_limp_at_rest(rig)


@pytest.mark.parametrize("interruption", ["deactivation", "lost contact"])
def test_a_way_to_rest_goes_on_after_it_was_interrupted(rig, interruption):
    rig.raise_arm()
    rig.bus.servos[2].temperature = 68.0
    rig.run(3.0, until=lambda: rig.mode is DriverMode.RETURNING)
    rig.run(0.3)
    if interruption == "deactivation":
        rig.driver.deactivate()
    else:
        rig.bus.unplug()
        rig.run(1.5)
        rig.bus.plug_in()
    run_until_limp_at_rest(rig)


def test_a_driver_that_ends_on_the_way_to_rest_gets_there(rig):
    rig.raise_arm()
    rig.bus.servos[2].temperature = 68.0
    rig.run(3.0, until=lambda: rig.mode is DriverMode.RETURNING)
    rig.run(0.3)
    rig.driver.deactivate()
    rig.driver.begin_shutdown()
    assert rig.driver.shutdown_result(rig.now_ns) is None
    run_until_limp_at_rest(rig)
    assert rig.driver.shutdown_result(rig.now_ns) == ""


def test_a_failing_supply_walks_down_the_ladder(make_rig):
    rig = make_rig(min_voltage=10.0).raise_arm()
    rig.bus.supply_voltage = 9.0
    rig.run(1.2)
    assert rig.state.stop_reason is StopReason.LOW_VOLTAGE
    assert "V; at least 10.0 V are needed" in rig.state.stop_message
    run_until_limp_at_rest(rig)


def test_an_overloaded_arm_joint_stops_where_it_is_blocked(rig):
    rig.raise_arm()
    rig.arm.floor[2] = 0.0
    rig.go([0.3, -0.4, -1.0, 0.5, 0.2, 0.8], 1.0)
    rig.run(6.0, until=lambda: rig.state.stop_reason is not StopReason.NONE)
    assert rig.state.stop_reason is StopReason.OVERLOAD
    assert "elbow_flex is overloaded" in rig.state.stop_message
    rig.run(0.5)
    assert abs(rig.arm.torque[2]) < 0.2
    assert not rig.driver.reading.error_bits.any()
    assert all(rig.torque)


@pytest.mark.parametrize(
    ("bit", "reason"),
    [
        (ErrorBits.VOLTAGE, StopReason.LOW_VOLTAGE),
        (ErrorBits.ANGLE, StopReason.LIMIT),
        (ErrorBits.OVERHEAT, StopReason.OVER_TEMPERATURE),
        (ErrorBits.OVERCURRENT, StopReason.OVERLOAD),
    ],
)
def test_error_bits_of_a_servo_stop_the_arm(rig, bit, reason):
    rig.raise_arm()
    rig.bus.servos[3].forced_errors = bit
    rig.run(0.5)
    assert rig.state.stop_reason is reason
    assert "wrist_flex" in rig.state.stop_message


def test_a_joint_forced_beyond_its_limit_stops_the_arm(rig):
    rig.raise_arm()
    rig.arm.floor[0] = 2.3
    rig.run(1.0)
    assert rig.state.stop_reason is StopReason.LIMIT
    assert "shoulder_pan is at 2.30 rad, beyond its limits of -1.92 to 1.92 rad" in rig.state.stop_message


def test_a_gripper_that_presses_is_eased_before_it_protects_itself(rig):
    rig.raise_arm()
    rig.arm.floor[5] = 0.04
    rig.go([*RAISED[:5], -0.17], 1.0)
    rig.run(8.0)
    assert rig.state.stop_reason is StopReason.NONE
    assert not rig.driver.reading.error_bits.any()
    assert rig.arm.position[5] == pytest.approx(0.04)
    # It still presses, with a force that it can keep up.
    assert 0.1 < abs(rig.driver.reading.load[5]) < 0.25
    rig.go(RAISED, 1.0)
    rig.run(1.5)
    np.testing.assert_allclose(rig.arm.position, RAISED, atol=4e-3)


def test_an_overloaded_gripper_recovers_without_a_stop_or_a_power_cycle(rig):
    rig.raise_arm()
    gripper = rig.bus.servos[5]
    gripper._latched |= ErrorBits.OVERLOAD
    gripper._overload_sign = -1.0
    rig.run(0.5)
    assert not rig.driver.reading.error_bits.any()
    assert rig.state.stop_reason is StopReason.NONE
    rig.go([*RAISED[:5], 0.3], 1.0)
    rig.run(1.5)
    assert rig.arm.position[5] == pytest.approx(0.3, abs=4e-3)
