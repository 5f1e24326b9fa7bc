"""The driver on the virtual servo bus: it never surprises, whatever fails."""

from dataclasses import replace

import numpy as np
import pytest
from support.arm import RAISED

from prana_ros.simulation import registers
from prana_ros.so101.bus import CommunicationError
from prana_ros.so101.driver_state import DriverMode
from prana_ros.so101.model import JOINT_NAMES, REST_POSE
from prana_ros.so101.stop_ladder import StopReason
from prana_ros.so101.trajectory import Trajectory

REST = np.array(REST_POSE)


# -- lifecycle and torque ----------------------------------------------------------------------------------------------


def test_connecting_moves_nothing_and_leaves_the_torque_off(rig):
    rig.driver.connect()
    rig.run(0.3)
    assert rig.torque == [False] * 6
    assert rig.mode is DriverMode.TORQUE_OFF
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
    assert rig.torque == [True] * 6
    assert rig.mode is DriverMode.HOLDING
    np.testing.assert_allclose(rig.arm.position, RAISED, atol=4e-3)


def test_an_activation_that_fails_halfway_is_known_to_have_raised_torque_and_goes_to_rest(rig, monkeypatch):
    rig.driver.connect()
    hold = rig.driver.bus.hold

    def hold_or_fail(name, position):
        if name == "wrist_roll":
            raise CommunicationError("motor 5 (wrist_roll) does not answer.")
        hold(name, position)

    monkeypatch.setattr(rig.driver.bus, "hold", hold_or_fail)
    with pytest.raises(CommunicationError):
        rig.driver.activate()
    assert rig.torque == [True] * 4 + [False] * 2
    assert rig.mode is not DriverMode.TORQUE_OFF
    rig.driver.begin_shutdown()
    rig.run(20.0, until=lambda: rig.driver.shutdown_result(rig.now_ns) is not None)
    assert rig.driver.shutdown_result(rig.now_ns) == ""
    assert not any(rig.torque)


def test_deactivating_holds_and_refuses_trajectories(rig):
    rig.raise_arm()
    rig.go(REST, 2.0)
    rig.run(0.5)
    rig.driver.deactivate()
    rig.run(0.5)
    halted = rig.arm.position.copy()
    rig.run(1.0)
    np.testing.assert_allclose(rig.arm.position, halted, atol=2e-3)
    assert rig.torque == [True] * 6
    with pytest.raises(ValueError, match="the driver is not active"):
        rig.go(RAISED)


def test_shutting_down_returns_to_rest_slowly_and_only_then_lets_go(rig):
    rig.raise_arm()
    rig.go(-RAISED, 2.0)
    rig.run(0.4)
    rig.driver.begin_shutdown()
    heights = []
    while rig.driver.shutdown_result(rig.now_ns) is None:
        assert all(rig.torque)
        rig.run(0.01)
        heights.append(rig.arm.position.copy())
        assert len(heights) < 2000
    assert rig.driver.shutdown_result(rig.now_ns) == ""
    assert not any(rig.torque)
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
    assert all(rig.torque)


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
    assert all(rig.torque)
    assert rig.mode is DriverMode.HOLDING
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
    assert rig.mode is DriverMode.TORQUE_OFF
    assert not any(rig.torque)
    with pytest.raises(ValueError, match="the torque is off"):
        rig.go(REST)
    rig.run(0.5)
    fallen = rig.arm.position.copy()
    assert fallen[1] > RAISED[1] + 0.2
    rig.driver.set_torque(True)
    rig.run(0.5)
    np.testing.assert_allclose(rig.arm.position, fallen, atol=0.02)
    assert rig.mode is DriverMode.HOLDING


def test_going_to_rest_on_request(rig):
    rig.raise_arm()
    seconds = rig.driver.go_to_rest(rig.now_ns)
    rig.run(0.5)
    assert rig.mode is DriverMode.RETURNING
    rig.run(seconds)
    assert rig.mode is DriverMode.HOLDING
    np.testing.assert_allclose(rig.arm.position, REST, atol=4e-3)
    assert all(rig.torque)


# -- commands ----------------------------------------------------------------------------------------------------------


def test_a_trajectory_is_played_and_the_mode_tells(rig):
    rig.start()
    rig.go(RAISED, 1.0)
    rig.run(0.5)
    assert rig.mode is DriverMode.FOLLOWING
    np.testing.assert_allclose(rig.arm.position, (REST + RAISED) / 2, atol=0.1)
    rig.run(0.7)
    assert rig.mode is DriverMode.HOLDING
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


def test_a_leader_that_takes_over_ends_the_plan_of_the_policy(rig):
    rig.raise_arm()
    rig.driver.acquire("policy", 0.0)
    rig.go(REST, 3.0, owner="policy")
    rig.run(1.0)
    rig.driver.acquire("policy", 0.0)
    assert rig.mode is DriverMode.FOLLOWING
    rig.driver.acquire("leader", 0.0)
    assert rig.mode is DriverMode.HOLDING
    rig.run(0.5)
    held = rig.arm.position.copy()
    rig.run(1.0)
    np.testing.assert_allclose(rig.arm.position, held, atol=2e-3)
    assert np.abs(held - REST).max() > 0.3


def test_a_lost_commander_stops_the_arm_until_the_stop_is_cleared(rig):
    rig.start()
    rig.driver.acquire("policy", 0.5)
    for _ in range(4):
        rig.go(RAISED, 2.0, owner="policy")
        rig.run(0.4)
        assert not rig.state.stop_reason
    rig.run(0.3)
    state = rig.state
    assert (state.mode, state.stop_reason, state.owner) == (DriverMode.STOPPED, StopReason.LOST_COMMANDER, "")
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
    assert rig.mode is DriverMode.HOLDING
    rig.driver.acquire("policy", 0.0)


def test_without_a_heartbeat_a_plan_that_runs_out_is_held(rig):
    rig.start()
    rig.driver.acquire("replay", 0.0)
    rig.go(RAISED, 0.8, owner="replay")
    rig.run(5.0)
    assert (rig.mode, rig.state.owner) == (DriverMode.HOLDING, "replay")


# -- limits that are lowered -------------------------------------------------------------------------------------------


def test_a_lower_limit_holds_at_once_without_a_jerk_and_the_arm_still_arrives(rig):
    rig.raise_arm()
    away = RAISED.copy()
    away[0] += 1.5
    commanded = [rig.driver.commanded.copy()]
    rig.go(away, 0.5)
    for cycle in range(300):
        if cycle == 15:
            rig.driver.limit(replace(rig.settings, max_velocity=0.5, max_acceleration=20.0))
        rig.run(0.01)
        commanded.append(rig.driver.commanded.copy())
    speed = np.abs(np.diff(np.array(commanded)[:, 0])) * 100
    assert speed[:15].max() > 2.0
    assert np.abs(np.diff(speed[15:])).max() < 20.0 * 0.01 + 1e-6, "slowed down no faster than the limit"
    assert speed[40:].max() < 0.5 + 1e-6
    rig.run(2.0)
    assert rig.driver.commanded[0] == pytest.approx(away[0], abs=1e-6)


def test_the_way_to_rest_takes_the_speed_that_was_set_last(rig):
    rig.raise_arm()
    rig.driver.limit(replace(rig.settings, rest_velocity=0.1))
    rig.driver.go_to_rest(rig.now_ns)
    before = rig.driver.commanded.copy()
    rig.run(1.0)
    assert 0.0 < np.abs(rig.driver.commanded - before).max() < 0.11
