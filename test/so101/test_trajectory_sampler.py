"""The plan as a function of time: replacement, joining, holding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline

from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.trajectory import Trajectory, TrajectoryError
from prana_ros.so101.trajectory_sampler import TrajectorySampler

MS = 1_000_000
NOW = 1_700_000_000_000 * MS


@st.composite
def trajectories(draw, joints=JOINT_NAMES, first_start=-500, last_start=2000):
    """Trajectories with a start around NOW (or zero) and at least one point in the future."""
    start = draw(st.one_of(st.none(), st.integers(first_start, last_start)))
    gaps = draw(st.lists(st.integers(1, 300), min_size=1, max_size=8))
    times = np.cumsum(gaps)
    if start is not None and start + times[-1] < 0:
        times = times + 600
    seed = draw(st.integers(0, 2**32 - 1))
    positions = np.random.default_rng(seed).uniform(-1.5, 1.5, (len(times), len(joints)))
    start_ns = 0 if start is None else NOW + start * MS
    return Trajectory("policy", start_ns, joints, times / 1000.0, positions)


def samples(player, first_ms, last_ms, step_ms=1):
    return np.array([player.sample(NOW + t * MS) for t in range(first_ms, last_ms, step_ms)])


def test_new_player_holds():
    position = np.linspace(-1.0, 1.0, 6)
    player = TrajectorySampler(position)
    for now in (0, NOW, NOW + 10**12):
        np.testing.assert_array_equal(player.sample(now), position)


@given(trajectories())
def test_future_points_are_met_and_joined_by_straight_lines(trajectory):
    start = np.linspace(-1.0, 1.0, 6)
    player = TrajectorySampler(start)
    player.accept(trajectory, NOW)
    times = trajectory.point_times_ns(NOW)
    takeover = max(NOW, trajectory.start_ns)
    future = times >= takeover
    knots = np.concatenate([[takeover], times[future]])
    values = np.concatenate([[start], trajectory.positions[future]])
    probes = np.linspace(NOW, int(times[-1]) + 500 * MS, 97).astype(np.int64)
    expected = np.stack(
        [np.interp((probes - NOW) / MS, (knots - NOW) / MS, values[:, j]) for j in range(len(JOINT_NAMES))],
        axis=1,
    )
    exact = np.isin(probes, knots)
    actual = np.array([player.sample(int(t)) for t in probes])
    np.testing.assert_allclose(actual[~exact], expected[~exact], atol=1e-6)
    for time, value in zip(times[future], trajectory.positions[future], strict=True):
        np.testing.assert_allclose(player.sample(int(time)), value, atol=1e-12)


@given(trajectories(first_start=0, last_start=0), trajectories(), st.integers(0, 400))
def test_old_plan_until_the_new_start_then_only_the_new_one(old, new, later):
    player, reference = TrajectorySampler(np.zeros(6)), TrajectorySampler(np.zeros(6))
    for plan in (player, reference):
        plan.accept(old, NOW)
    now = NOW + later * MS
    if new.point_times_ns(now)[-1] < now:
        with pytest.raises(TrajectoryError):
            player.accept(new, now)
        np.testing.assert_array_equal(samples(player, later, 2600, 20), samples(reference, later, 2600, 20))
        return
    player.accept(new, now)
    takeover = max(now, new.start_ns)
    for t in range(now, takeover, 7 * MS):
        np.testing.assert_allclose(player.sample(t), reference.sample(t), atol=1e-9)
    fresh = TrajectorySampler(reference.sample(takeover))
    fresh.accept(new, now)
    for t in range(takeover, int(new.point_times_ns(now)[-1]) + 50 * MS, 13 * MS):
        np.testing.assert_allclose(player.sample(t), fresh.sample(t), atol=1e-9)


@given(trajectories(), trajectories())
def test_the_plan_has_no_jump_after_a_replacement(old, new):
    player = TrajectorySampler(np.zeros(6))
    player.accept(old, NOW)
    player.accept(new, NOW)
    times = np.concatenate([old.point_times_ns(NOW), new.point_times_ns(NOW), [new.start_ns, NOW + MS // 2]])
    for time in times[times > NOW]:
        # The steepest line is 3 rad in the shortest gap of 1 ms.
        step = player.sample(int(time) + 1) - player.sample(int(time) - 1)
        assert np.abs(step).max() <= 2 * 3.0 / MS
    np.testing.assert_array_equal(player.sample(NOW + 5000 * MS), new.positions[-1])


def test_a_chunk_that_agrees_with_the_plan_changes_nothing():
    """A new chunk over the same motion, later on the grid and starting in the past, leaves no seam at all."""
    line = np.outer(np.arange(60) * 0.1, np.ones(6)) * 0.2
    player = TrajectorySampler(np.zeros(6))
    player.accept(Trajectory("", NOW, JOINT_NAMES, np.arange(20) * 0.1, line[:20]), NOW)
    before = samples(player, 0, 1900)
    player.accept(
        Trajectory("", NOW + 300 * MS, JOINT_NAMES, np.arange(20) * 0.1, line[3:23]),
        NOW + 777 * MS,
    )
    np.testing.assert_allclose(samples(player, 777, 1900), before[777:], atol=1e-9)
    np.testing.assert_allclose(player.sample(NOW + 3000 * MS), line[22], atol=1e-12)


def test_single_point_without_delay_means_go_there_now():
    player = TrajectorySampler(np.zeros(6))
    player.accept(Trajectory("", 0, JOINT_NAMES, np.zeros(1), np.ones((1, 6))), NOW)
    np.testing.assert_array_equal(player.sample(NOW), np.ones(6))


@given(st.permutations(JOINT_NAMES), st.integers(1, 6))
def test_joints_are_matched_by_name_and_the_others_hold(order, count):
    named = order[:count]
    player = TrajectorySampler(np.full(6, 0.5))
    values = np.arange(1.0, count + 1.0)
    player.accept(Trajectory("", 0, named, np.array([0.5]), values[None]), NOW)
    final = dict(zip(JOINT_NAMES, player.sample(NOW + 10**9), strict=True))
    assert final == dict.fromkeys(JOINT_NAMES, 0.5) | dict(zip(named, values, strict=True))


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.integers(0, 900))
def test_velocities_make_the_cubic_spline(seed, points, replan):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.integers(50, 400, points)) / 1000.0
    positions, velocities = rng.uniform(-1, 1, (2, points, 6))
    player = TrajectorySampler(np.zeros(6))
    player.accept(Trajectory("", NOW, JOINT_NAMES, times, positions, velocities), NOW)
    spline = CubicHermiteSpline(
        np.concatenate([[0.0], times]),
        np.vstack([np.zeros(6), positions]),
        np.vstack([np.zeros(6), velocities]),
    )
    grid = np.arange(0, int(times[-1] * 1000), 11)
    np.testing.assert_allclose(samples(player, 0, int(times[-1] * 1000), 11), spline(grid / 1000.0), atol=1e-6)
    # Taking over in the middle of a curve keeps its position and its velocity.
    now = NOW + replan * MS
    if replan < times[-1] * 1000 - 1:
        target = Trajectory("", 0, JOINT_NAMES, np.array([1.0]), np.zeros((1, 6)), np.zeros((1, 6)))
        player.accept(target, now)
        np.testing.assert_allclose(player.sample(now), spline(replan / 1000.0), atol=1e-9)
        slope = (player.sample(now + MS // 100) - player.sample(now)) / 1e-5
        np.testing.assert_allclose(slope, spline(replan / 1000.0, 1), atol=2e-2)


def test_holding_between_a_plan_that_ended_in_motion_and_a_later_start():
    player = TrajectorySampler(np.zeros(6))
    moving = Trajectory("", NOW, JOINT_NAMES, np.array([1.0]), np.ones((1, 6)), np.full((1, 6), 2.0))
    player.accept(moving, NOW)
    player.accept(Trajectory("", NOW + 3000 * MS, JOINT_NAMES, np.array([1.0]), np.zeros((1, 6))), NOW + 500 * MS)
    np.testing.assert_array_equal(samples(player, 1000, 3000, 50), np.ones((40, 6)))


def test_refused_trajectory_leaves_the_plan():
    player = TrajectorySampler(np.zeros(6))
    player.accept(Trajectory("", NOW, JOINT_NAMES, np.array([1.0]), np.ones((1, 6))), NOW)
    bad = np.ones((1, 6))
    bad[0, 3] = np.nan
    with pytest.raises(TrajectoryError, match="wrist_flex"):
        player.accept(Trajectory("", NOW, JOINT_NAMES, np.array([1.0]), bad), NOW + 100 * MS)
    np.testing.assert_allclose(player.sample(NOW + 500 * MS), np.full(6, 0.5))
    assert player.end_ns == NOW + 1000 * MS
