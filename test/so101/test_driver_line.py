"""The driver on a bad line: lost, garbled and late answers, silence, unplugging, loss of power."""

import numpy as np
import pytest
from support.arm import RAISED

from prana_ros.simulation import registers
from prana_ros.simulation.registers import ErrorBits
from prana_ros.so101.bus import BusError
from prana_ros.so101.driver_state import DriverMode
from prana_ros.so101.model import REST_POSE
from prana_ros.so101.stop_ladder import StopReason

REST = np.array(REST_POSE)


@pytest.mark.parametrize("fault", ["drop", "corrupt", "late"])
def test_a_bad_answer_now_and_then_is_counted_and_stops_nothing(rig, fault):
    rig.raise_arm()
    rig.bus.faults.lateness = 0.6
    rig.go(REST, 1.0)
    for _ in range(4):
        setattr(rig.bus.faults, fault, 1)
        rig.run(0.3)
        np.testing.assert_allclose(rig.driver.reading.position, rig.arm.position, atol=0.03)
    state = rig.state
    assert state.stop_reason is StopReason.NONE
    assert state.communication_errors.sum() >= 4
    assert state.counters.commands_lost == 0
    np.testing.assert_allclose(rig.arm.position, REST, atol=4e-3)


def test_silence_stops_the_arm_and_its_return_leaves_it_stopped(make_rig):
    rig = make_rig(reply_timeout=0.05).raise_arm()
    rig.bus.servos[4].muted = True
    rig.run(0.8)
    assert (rig.mode, rig.state.stop_reason) == (DriverMode.STOPPED, StopReason.COMMUNICATION)
    assert "5 (wrist_roll)" in rig.state.stop_message
    assert rig.state.communication_errors[4] > 0
    rig.bus.servos[4].muted = False
    rig.run(2.5)
    assert rig.state.stop_reason is StopReason.COMMUNICATION
    rig.driver.clear_stop()
    rig.go(REST, 1.0)
    rig.run(1.5)
    np.testing.assert_allclose(rig.arm.position, REST, atol=4e-3)


def test_unplugging_stops_and_plugging_in_again_takes_over_without_a_jump(rig):
    rig.raise_arm()
    rig.go(REST, 2.0)
    rig.run(0.5)
    rig.bus.unplug()
    rig.run(1.5)
    state = rig.state
    assert (state.mode, state.stop_reason) == (DriverMode.STOPPED, StopReason.COMMUNICATION)
    assert "There is no port" in state.stop_message
    assert state.counters.commands_lost > 100
    with pytest.raises(ValueError, match="no contact"):
        rig.driver.clear_stop()
    held = rig.arm.position.copy()
    rig.bus.plug_in()
    rig.run(2.0)
    np.testing.assert_allclose(rig.arm.position, held, atol=4e-3)
    rig.driver.clear_stop()
    rig.go(RAISED, 2.0)
    rig.run(2.5)
    np.testing.assert_allclose(rig.arm.position, RAISED, atol=4e-3)
    assert rig.largest_step() < 0.03


def test_after_a_loss_of_power_the_arm_is_limp_and_set_up_anew(make_rig):
    rig = make_rig(reply_timeout=0.05).raise_arm()
    for servo in rig.bus.servos:
        servo.power_cycle()
        servo.muted = True
    rig.run(1.0)
    for servo in rig.bus.servos:
        servo.muted = False
    rig.run(2.5)
    assert rig.mode is DriverMode.TORQUE_OFF
    assert rig.bus.servos[5].get(registers.TORQUE_LIMIT) == 500
    with pytest.raises(ValueError, match="have no torque; did their motors lose power\\? set_torque switches"):
        rig.driver.clear_stop()
    rig.driver.set_torque(True)
    rig.driver.clear_stop()
    rig.go(REST, 1.0)
    rig.run(1.5)
    np.testing.assert_allclose(rig.arm.position, REST, atol=4e-3)


def test_shutting_down_without_contact_says_so_and_ends(rig):
    rig.raise_arm()
    rig.bus.unplug()
    rig.run(0.1)
    rig.driver.begin_shutdown()
    assert "no contact" in rig.driver.shutdown_result(rig.now_ns)


def test_torque_off_reaches_every_other_motor_when_one_is_silent(make_rig):
    rig = make_rig(reply_timeout=0.05).raise_arm()
    rig.bus.servos[2].muted = True
    rig.bus.servos[1].forced_errors = ErrorBits.OVERLOAD
    with pytest.raises(BusError, match="The torque of elbow_flex could not be switched off"):
        rig.driver.set_torque(False)
    assert rig.torque == [False, False, True, False, False, False]
