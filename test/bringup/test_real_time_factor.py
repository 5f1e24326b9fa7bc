from hypothesis import given
from hypothesis import strategies as st

from prana_ros.bringup.real_time_factor import HEADROOM, STEPS, choose_factor


@given(st.floats(0.0, 100.0), st.integers(1, 64))
def test_the_factor_is_a_step_that_leaves_headroom_or_the_smallest(measured, cores):
    factor = choose_factor(measured, cores)
    assert factor in STEPS
    assert factor * HEADROOM <= measured or factor == min(STEPS)


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0), st.integers(1, 64))
def test_a_faster_machine_is_never_given_a_slower_clock(one, other, cores):
    assert choose_factor(min(one, other), cores) <= choose_factor(max(one, other), cores)


def test_a_fast_machine_runs_in_real_time_and_a_single_core_needs_more_headroom():
    assert choose_factor(4.0, cores=2) == 1.0
    assert choose_factor(4.0, cores=1) < 1.0
