"""Plans: a function of time, replaced by the trajectory controller's rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prana_ros.inference.plan import NANOSECONDS, Plan, plan_of_chunk, replaced, seam_between
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.trajectory import Trajectory
from prana_ros.so101.trajectory_sampler import TrajectorySampler

EPOCH = 1_770_000_000 * NANOSECONDS


@st.composite
def plans(draw: st.DrawFn, start: int | None = None) -> Plan:
    size = draw(st.integers(2, 20))
    begin = EPOCH if start is None else start
    gaps = draw(arrays(np.int64, size - 1, elements=st.integers(10_000_000, 300_000_000)))
    positions = draw(arrays(np.float64, (size, 6), elements=st.floats(-1.5, 1.5)))
    return Plan(begin + np.concatenate([[0], np.cumsum(gaps)]), positions)


def line_by_hand(plan: Plan, t: int) -> np.ndarray:
    """The definition, point by point, in exact integer times."""
    times = [int(x) for x in plan.times_ns]
    if t <= times[0]:
        return plan.positions[0]
    for i in range(len(times) - 1):
        if t <= times[i + 1]:
            share = (t - times[i]) / (times[i + 1] - times[i])
            return (1 - share) * plan.positions[i] + share * plan.positions[i + 1]
    return plan.positions[-1]


def instants(begin: int, end: int) -> list[int]:
    return [begin + i * (end - begin) // 30 for i in range(31)]


@given(plans(), st.floats(-0.2, 1.2))
def test_a_plan_is_straight_between_its_points_and_held_outside(plan, share):
    t = plan.start_ns + round(share * (plan.end_ns - plan.start_ns))
    np.testing.assert_allclose(plan.at(t), line_by_hand(plan, t), atol=1e-7)


@given(plans())
def test_a_plan_passes_exactly_through_its_points_although_epoch_times_exceed_a_float(plan):
    np.testing.assert_array_equal(plan.at(plan.times_ns), plan.positions)


@given(plans(), plans(EPOCH + 50_000_000), st.data())
def test_replacement_is_what_the_driver_s_player_does(old, new, data):
    begin = new.start_ns - 100_000_000  # as a clock that is ahead would have it
    now = data.draw(st.integers(begin, new.end_ns) | st.sampled_from(new.times_ns.tolist()))
    sampler = TrajectorySampler(old.positions[0])
    accepted_at = max(min(old.start_ns, now), 1)
    if old.end_ns > accepted_at:
        sampler.accept(trajectory(old), accepted_at)
    sampler.accept(trajectory(new), now)
    plan = replaced(old, new, now)
    for t in instants(now, plan.end_ns + NANOSECONDS):
        np.testing.assert_allclose(plan.at(t), sampler.sample(int(t)), atol=1e-6)


def test_the_running_plan_is_followed_until_now_however_near_the_next_point_is():
    step = 100_000_000
    old, new = plan_of_chunk(EPOCH, np.ones((4, 6)), step), plan_of_chunk(EPOCH, np.zeros((4, 6)), step)
    for before in (1, 2, 1000):
        now = EPOCH + step - before
        np.testing.assert_array_equal(replaced(old, new, now).at(now), np.ones(6))


@given(plans(), plans(EPOCH + 50_000_000), st.data())
def test_replacement_keeps_the_old_plan_until_now_and_the_new_one_from_its_takeover(old, new, data):
    now = data.draw(st.integers(new.start_ns, new.end_ns) | st.sampled_from(new.times_ns.tolist()))
    plan = replaced(old, new, now)
    takeover = new.first_from(now)
    for t in instants(min(new.start_ns, now - 1), now - 1):
        np.testing.assert_allclose(plan.at(t), old.at(t), atol=1e-7)
    for t in instants(takeover, new.end_ns + NANOSECONDS):
        np.testing.assert_allclose(plan.at(t), new.at(t), atol=1e-7)


@given(plans(), plans(EPOCH + 50_000_000), st.data())
def test_a_seam_is_new_minus_old_where_the_new_plan_takes_over(old, new, data):
    now = data.draw(st.integers(new.start_ns, new.end_ns) | st.sampled_from(new.times_ns.tolist()))
    seam = seam_between(old, new, now)
    takeover = min(int(t) for t in new.times_ns if t >= now)
    assert seam.time_ns == takeover
    difference = line_by_hand(new, takeover) - line_by_hand(old, takeover)
    np.testing.assert_allclose(seam.position_step, difference, atol=1e-7)
    later = takeover + 1000  # ns: short beside every gap between points
    slopes = [(line_by_hand(plan, later) - line_by_hand(plan, takeover)) / 1e-6 for plan in (new, old)]
    if later <= min((int(t) for t in old.times_ns if t > takeover), default=later):
        np.testing.assert_allclose(seam.velocity_step, slopes[0] - slopes[1], atol=1e-5)


@given(plans(), plans(EPOCH + 50_000_000))
def test_a_plan_that_is_all_past_never_takes_over(old, new):
    assert seam_between(old, new, new.end_ns + 1) is None
    with pytest.raises(ValueError, match="cannot take over"):
        replaced(old, new, new.end_ns + 1)


@given(plans(), st.floats(0.0, 0.99))
def test_the_first_plan_of_a_run_is_kept_whole_so_that_the_next_chunk_is_given_the_way_it_began(new, share):
    plan = replaced(None, new, new.start_ns + int(share * (new.end_ns - new.start_ns)))
    np.testing.assert_array_equal(plan.at(new.times_ns), new.positions)


def test_a_first_plan_that_is_all_past_never_takes_over():
    new = plan_of_chunk(EPOCH, np.zeros((4, 6)), 100_000_000)
    with pytest.raises(ValueError, match="cannot take over"):
        replaced(None, new, new.end_ns + 1)


@pytest.mark.parametrize(
    ("times", "positions", "sentence"),
    [
        ([0, 1], np.zeros((3, 6)), "a position for each time"),
        ([0, 0], np.zeros((2, 6)), "increasing times"),
        ([], np.zeros((0, 6)), "at least one point"),
        ([0, 1], np.full((2, 6), np.nan), "finite"),
    ],
)
def test_what_is_no_plan_is_refused(times, positions, sentence):
    with pytest.raises(ValueError, match=sentence):
        Plan(np.array(times, dtype=np.int64), positions)


def trajectory(plan: Plan) -> Trajectory:
    times_s = (plan.times_ns - plan.start_ns) / NANOSECONDS
    return Trajectory("", plan.start_ns, JOINT_NAMES, times_s, plan.positions)
