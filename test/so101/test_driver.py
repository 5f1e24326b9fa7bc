"""The driver on the virtual servo bus: it never surprises, whatever fails."""

import numpy as np
import pytest
from support.arm import RAISED, Rig

from prana_ros.simulation import registers
from prana_ros.simulation.registers import ErrorBits
from prana_ros.so101.bus import BusError
from prana_ros.so101.driver_state import Mode
from prana_ros.so101.figures import JOINT_NAMES, REST_POSE
from prana_ros.so101.stop_ladder import StopReason
from prana_ros.so101.trajectory import Trajectory

REST = np.array(REST_POSE)


@pytest.fixture
def make_rig(tmp_path):
    rigs = []

    def make(*args, **kwargs):
        rigs.append(Rig(*args, link=tmp_path / "arm", **kwargs))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig):
    return make_rig()


def torque(rig):
    return [bool(servo.get(registers.TORQUE_ENABLE)) for servo in rig.bus.servos]


# -- lifecycle and torque ----------------------------------------------------------------------------------------------


def test_connecting_moves_nothing_and_leaves_the_torque_off(rig):
    rig.driver.connect()
    rig.run(0.3)
    assert torque(rig) == [False] * 6
    assert rig.mode is Mode.LIMP
    assert rig.state.counters.commands_sent == 0
    np.testing.assert_allclose(rig.driver.reading.position[2:], REST[2:], atol=2e-3)


def test_activation_makes_the_present_position_the_goal_before_the_torque_comes(rig):
    rig.arm.position[:] = RAISED
    rig.bus.update(0.0)
    # A goal left behind by another program, far away.
    for servo in rig.bus.servos:
        servo.write(registers.GOAL_POSITION.address, (2047).to_bytes(2, "little"))
    rig.start()
    rig.run(0.5)
    assert torque(rig) == [True] * 6
    assert rig.mode is Mode.HOLDING
    np.testing.assert_allclose(rig.arm.position, RAISED, atol=4e-3)


def test_deactivating_holds_and_refuses_trajectories(rig):
    rig.raise_arm()
    rig.go(REST, 2.0)
    rig.run(0.5)
    rig.driver.deactivate()
    rig.run(0.5)
    halted = rig.arm.position.copy()
    rig.run(1.0)
    np.testing.assert_allclose(rig.arm.position, halted, atol=2e-3)
    assert torque(rig) == [True] * 6
    with pytest.raises(ValueError, match="the driver is not active"):
        rig.go(RAISED)


def test_shutting_down_returns_to_rest_slowly_and_only_then_lets_go(rig):
    rig.raise_arm()
    rig.go(-RAISED, 2.0)
    rig.run(0.4)
    rig.driver.begin_shutdown()
    heights = []
    while rig.driver.shutdown_result(rig.now_ns) is None:
        assert all(torque(rig))
        rig.run(0.01)
        heights.append(rig.arm.position.copy())
        assert len(heights) < 2000
    assert rig.driver.shutdown_result(rig.now_ns) == ""
    assert not any(torque(rig))
    np.testing.assert_allclose(rig.arm.position[:5], REST[:5], atol=0.02)
    speeds = np.abs(np.diff(heights[100:], axis=0)).max() / 0.01
    assert speeds <= rig.settings.rest_velocity * 1.1


def test_an_arm_that_cannot_reach_rest_is_not_dropped(rig):
    rig.raise_arm()
    rig.arm.floor[1] = -0.8
    rig.driver.begin_shutdown()
    rig.run(20.0, until=lambda: rig.driver.shutdown_result(rig.now_ns) is not None)
    result = rig.driver.shutdown_result(rig.now_ns)
    assert "shoulder_lift is at -0.80 rad instead of -1.70 rad" in result
    assert all(torque(rig))


def test_a_second_driver_takes_over_a_moving_arm_without_a_jump(rig):
    """The first one vanishes in the middle of a motion, as with SIGKILL."""
    rig.raise_arm()
    rig.go(REST, 2.0)
    rig.run(0.7)
    rig.driver.close()
    before = rig.arm.position.copy()
    for _ in range(30):
        rig.step_arm()
    held = rig.arm.position.copy()
    rig.driver = rig.new_driver()
    rig.driver.connect()
    assert all(torque(rig))
    assert rig.mode is Mode.HOLDING
    rig.history.clear()
    rig.driver.activate()
    rig.run(0.5)
    np.testing.assert_allclose(rig.arm.position, held, atol=2e-3)
    np.testing.assert_allclose(before, held, atol=0.05)
    rig.go(REST, 2.0)
    rig.run(2.5)
    assert rig.largest_step() < 0.03
    np.testing.assert_allclose(rig.arm.position, REST, atol=4e-3)


def test_torque_off_on_request_wherever_the_arm_is_and_on_again_without_a_jump(rig):
    rig.raise_arm()
    rig.driver.set_torque(False)
    assert rig.mode is Mode.LIMP
    assert not any(torque(rig))
    with pytest.raises(ValueError, match="the torque is off"):
        rig.go(REST)
    rig.run(0.5)
    fallen = rig.arm.position.copy()
    assert fallen[1] > RAISED[1] + 0.2
    rig.driver.set_torque(True)
    rig.run(0.5)
    np.testing.assert_allclose(rig.arm.position, fallen, atol=0.02)
    assert rig.mode is Mode.HOLDING


def test_going_to_rest_on_request(rig):
    rig.raise_arm()
    seconds = rig.driver.go_to_rest(rig.now_ns)
    rig.run(0.5)
    assert rig.mode is Mode.RETURNING
    rig.run(seconds)
    assert rig.mode is Mode.HOLDING
    np.testing.assert_allclose(rig.arm.position, REST, atol=4e-3)
    assert all(torque(rig))


# -- commands ----------------------------------------------------------------------------------------------------------


def test_a_trajectory_is_played_and_the_mode_tells(rig):
    rig.start()
    rig.go(RAISED, 1.0)
    rig.run(0.5)
    assert rig.mode is Mode.FOLLOWING
    np.testing.assert_allclose(rig.arm.position, (REST + RAISED) / 2, atol=0.1)
    rig.run(0.7)
    assert rig.mode is Mode.HOLDING
    np.testing.assert_allclose(rig.arm.position, RAISED, atol=4e-3)
    np.testing.assert_allclose(rig.driver.commanded, RAISED, atol=1e-9)
    counters = rig.state.counters
    assert (counters.accepted, counters.refused, counters.commands_lost) == (1, 0, 0)


def test_refused_trajectories_are_counted_and_the_plan_goes_on(rig):
    rig.start()
    rig.go(RAISED, 1.0)
    rig.run(0.2)
    bad = np.full((1, 6), np.nan)
    for trajectory, sentence in [
        (Trajectory("", 0, JOINT_NAMES, np.array([1.0]), bad), "nan"),
        (Trajectory("", 0, ["elbow"], np.array([1.0]), np.zeros((1, 1))), "'elbow'"),
        (Trajectory("", rig.now_ns - 10**10, JOINT_NAMES, np.array([1.0]), np.zeros((1, 6))), "in the past"),
        (Trajectory("", 0, JOINT_NAMES, np.array([1.0, 0.5]), np.zeros((2, 6))), "increase"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            rig.driver.accept(trajectory, rig.now_ns)
        assert sentence in rig.state.counters.last_refusal
    assert rig.state.counters.refused == 4
    rig.run(1.2)
    np.testing.assert_allclose(rig.arm.position, RAISED, atol=4e-3)


def test_goals_beyond_the_limits_are_clamped_and_counted(rig):
    rig.start()
    rig.go(np.full(6, 9.0), 3.0)
    rig.run(4.0)
    assert np.all(rig.arm.position <= [1.92, 1.75, 1.69, 1.66, 2.85, 1.75])
    np.testing.assert_allclose(rig.arm.position[0], 1.91986, atol=4e-3)
    assert rig.state.commands_limited > 100
    assert rig.largest_step() <= rig.settings.max_velocity * 0.01 + 2e-3


def test_only_the_owner_may_command(rig):
    rig.start()
    rig.driver.acquire("policy", 0.0)
    assert rig.state.owner == "policy"
    with pytest.raises(ValueError, match="belongs to 'policy'; the trajectory came from 'replay'"):
        rig.go(RAISED, owner="replay")
    with pytest.raises(ValueError, match="belongs to 'policy'; it must release"):
        rig.driver.go_to_rest(rig.now_ns)
    rig.go(RAISED, owner="policy")
    with pytest.raises(ValueError, match="'replay' must wait"):
        rig.driver.acquire("replay", 0.0)
    rig.driver.acquire("leader", 0.0)
    with pytest.raises(ValueError, match="belongs to 'leader'"):
        rig.go(RAISED, owner="policy")
    rig.driver.release("leader")
    rig.go(REST, owner="anybody")


def test_a_lost_commander_stops_the_arm_until_the_stop_is_cleared(rig):
    rig.start()
    rig.driver.acquire("policy", 0.5)
    for _ in range(4):
        rig.go(RAISED, 2.0, owner="policy")
        rig.run(0.4)
        assert not rig.state.stop_reason
    rig.run(0.3)
    state = rig.state
    assert (state.mode, state.stop_reason, state.owner) == (Mode.STOPPED, StopReason.LOST_COMMANDER, "")
    assert "'policy' sent no trajectory" in state.stop_message
    rig.run(0.3)
    held = rig.arm.position.copy()
    rig.run(1.0)
    np.testing.assert_allclose(rig.arm.position, held, atol=2e-3)
    with pytest.raises(ValueError, match="refused while the arm is stopped: 'policy' sent no"):
        rig.go(RAISED)
    for owner in ("policy", "leader"):
        with pytest.raises(ValueError, match="stopped and cannot be taken"):
            rig.driver.acquire(owner, 0.0)
    rig.driver.clear_stop()
    assert rig.mode is Mode.HOLDING
    rig.driver.acquire("policy", 0.0)


def test_without_a_heartbeat_a_plan_that_runs_out_is_held(rig):
    rig.start()
    rig.driver.acquire("replay", 0.0)
    rig.go(RAISED, 0.8, owner="replay")
    rig.run(5.0)
    assert (rig.mode, rig.state.owner) == (Mode.HOLDING, "replay")


# -- stops -------------------------------------------------------------------------------------------------------------


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
    assert (rig.mode, rig.state.stop_message) == (Mode.STOPPED, "Enough.")
    assert all(torque(rig))


def test_heat_walks_down_the_whole_ladder_and_is_not_dropped(rig):
    rig.raise_arm()
    rig.bus.servos[2].temperature = 68.0
    rig.run(0.2)
    assert rig.mode is Mode.HOLDING  # a single odd reading would stop nothing
    rig.run(0.3)
    assert (rig.mode, rig.state.stop_reason) == (Mode.STOPPED, StopReason.OVER_TEMPERATURE)
    assert "elbow_flex has 68 °C; allowed are 65 °C" in rig.state.stop_message
    rig.run(0.6)
    assert rig.mode is Mode.RETURNING
    rig.run(20.0, until=lambda: rig.mode is Mode.LIMP)
    assert not any(torque(rig))
    np.testing.assert_allclose(rig.arm.position[:5], REST[:5], atol=0.03)


def test_a_failing_supply_walks_down_the_ladder(make_rig):
    rig = make_rig(min_voltage=10.0).raise_arm()
    rig.bus.supply_voltage = 9.0
    rig.run(1.2)
    assert rig.state.stop_reason is StopReason.LOW_VOLTAGE
    assert "V; at least 10.0 V are needed" in rig.state.stop_message
    rig.run(20.0, until=lambda: rig.mode is Mode.LIMP)
    np.testing.assert_allclose(rig.arm.position[:5], REST[:5], atol=0.03)


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
    assert all(torque(rig))


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


# -- a bad line --------------------------------------------------------------------------------------------------------


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
    assert (rig.mode, rig.state.stop_reason) == (Mode.STOPPED, StopReason.COMMUNICATION)
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
    assert (state.mode, state.stop_reason) == (Mode.STOPPED, StopReason.COMMUNICATION)
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
    assert rig.mode is Mode.LIMP
    assert rig.bus.servos[5].get(registers.TORQUE_LIMIT) == 500
    rig.driver.clear_stop()
    rig.driver.set_torque(True)
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
    assert torque(rig) == [False, False, True, False, False, False]
