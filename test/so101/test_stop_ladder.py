"""Hold, return, off: in this order, never skipping a rung, never dropping the arm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.so101.stop_ladder import HOLD_TIME, LAST_RUNG, Rung, StopLadder, StopReason

REASONS = [reason for reason in StopReason if reason is not StopReason.NONE]


def test_the_values_are_those_of_the_message():
    from prana_msgs.msg import ArmState

    assert {reason.name: int(reason) for reason in StopReason} == {
        name.removeprefix("STOP_"): value
        for name in ("STOP_NONE", *(f"STOP_{reason.name}" for reason in REASONS))
        for value in [getattr(ArmState, name)]
    }


@given(
    st.lists(
        st.tuples(st.floats(0.01, 2.0), st.booleans(), st.one_of(st.none(), st.sampled_from(REASONS))), max_size=40
    )
)
def test_it_goes_down_one_rung_after_the_other_and_lets_go_only_at_rest(steps):
    ladder, now = StopLadder(), 0.0
    for wait, at_rest, reason in steps:
        now += wait
        before = ladder.rung
        if reason is not None:
            ladder.trigger(reason, f"because of {reason.name}", now)
            assert ladder.in_force
            assert ladder.rung >= Rung.HOLD
        after_trigger = ladder.rung
        rung = ladder.update(now, at_rest)
        assert before <= after_trigger <= rung
        if rung is Rung.OFF and after_trigger is not Rung.OFF:
            assert at_rest
        assert ladder.reason is StopReason.NONE or rung <= LAST_RUNG[ladder.reason]


def test_a_harmful_hold_goes_to_the_bottom_in_time():
    ladder = StopLadder()
    ladder.trigger(StopReason.OVER_TEMPERATURE, "Hot.", 10.0)
    assert ladder.update(10.0 + HOLD_TIME / 2, False) is Rung.HOLD
    assert ladder.update(10.0 + HOLD_TIME, False) is Rung.RETURN
    assert ladder.update(1000.0, False) is Rung.RETURN
    assert ladder.update(1000.0, True) is Rung.OFF


@pytest.mark.parametrize("reason", [reason for reason in REASONS if LAST_RUNG[reason] is Rung.HOLD])
def test_other_stops_hold_until_they_are_cleared(reason):
    ladder = StopLadder()
    ladder.trigger(reason, "Why.", 0.0)
    assert ladder.update(1e6, True) is Rung.HOLD
    ladder.clear()
    assert (ladder.reason, ladder.message, ladder.update(1e6, True)) == (StopReason.NONE, "", Rung.FREE)


def test_the_first_reason_stays_unless_the_next_goes_further_down():
    ladder = StopLadder()
    assert ladder.trigger(StopReason.SERVICE, "First.", 0.0)
    assert not ladder.trigger(StopReason.LOST_COMMANDER, "Second.", 1.0)
    assert (ladder.reason, ladder.message) == (StopReason.SERVICE, "First.")
    assert ladder.trigger(StopReason.LOW_VOLTAGE, "Third.", 2.0)
    assert not ladder.trigger(StopReason.OVER_TEMPERATURE, "Fourth.", 3.0)
    assert ladder.trigger(StopReason.SHUTDOWN, "The end.", 4.0)
    assert ladder.message == "The end."
    with pytest.raises(ValueError, match="shutting down; that cannot be cleared"):
        ladder.clear()
