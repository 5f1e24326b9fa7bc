"""The gripper presses no harder for long than its servo can keep up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prana_ros.so101.grip_guard import PATIENCE, GripGuard
from prana_ros.so101.model import ACTUATOR, GRIPPER_TORQUE_FRACTION
from prana_ros.so101.servo_settings import GRIPPER_OVERLOAD

PERIOD = 0.01


def load_at(goal, contact):
    """Load of a servo that pulls towards ``goal`` and is stopped by an object at ``contact``."""
    torque = ACTUATOR.position_gain * min(goal - contact, 0.0) / ACTUATOR.torque_limit
    return max(torque, -GRIPPER_TORQUE_FRACTION)


@settings(max_examples=30)
@given(st.floats(-0.17, 1.0), st.floats(0.0, 1.5))
def test_too_hard_a_grip_is_eased_before_the_servo_gives_up_and_still_holds(goal, contact):
    guard, too_hard, position = GripGuard(), 0.0, 1.6
    sent = goal
    for _ in range(400):
        position = max(sent, contact)
        load = load_at(sent, position)
        sent = guard.step(goal, position, load, False, PERIOD)
        too_hard = too_hard + PERIOD if abs(load_at(sent, max(sent, contact))) > GRIPPER_OVERLOAD else 0.0
        # The servo protects itself after 2 s.
        assert too_hard < 2.0
        assert sent >= goal
    if goal < contact - 0.034:
        assert 0.1 < -load_at(sent, contact) <= GRIPPER_OVERLOAD
    elif goal > contact - 0.033:
        assert sent == goal


@given(st.lists(st.floats(0.2, 1.5), min_size=1, max_size=200))
def test_a_gripper_that_holds_nothing_goes_where_it_is_sent(goals):
    guard = GripGuard()
    for goal in goals:
        assert guard.step(goal, goal, 0.0, False, PERIOD) == goal


def test_opening_ends_the_easing():
    guard = GripGuard()
    for _ in range(400):
        eased = guard.step(-0.17, 0.04, load_at(max(-0.17, guard.floor), 0.04), False, PERIOD)
    assert eased > -0.17
    assert guard.step(0.5, 0.04, 0.0, False, PERIOD) == 0.5
    assert guard.step(-0.17, 0.5, 0.0, False, PERIOD) == -0.17


def test_an_overload_is_backed_off_from_and_gripped_again_gently():
    guard = GripGuard()
    # Off the object, so that the servo ends its protection…
    assert guard.step(-0.17, 0.04, -0.5, True, PERIOD) == pytest.approx(0.06)
    assert guard.step(-0.17, 0.05, -0.2, True, PERIOD) == pytest.approx(0.07)
    # … then on it again, with less than half of what was too much.
    again = guard.step(-0.17, 0.04, 0.0, False, PERIOD)
    assert 0.0 < -load_at(again, 0.04) < GRIPPER_OVERLOAD
    assert guard.step(-0.17, 0.04, load_at(again, 0.04), False, PERIOD) == again
    assert guard.backed_off == 1


def test_patience_is_shorter_than_the_servos_own():
    from prana_ros.simulation import registers

    assert registers.FACTORY[registers.PROTECTION_TIME] * registers.TICK_SECONDS > PATIENCE
