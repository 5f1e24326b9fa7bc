"""Path length and jerk against closed forms, of true positions and of a servo's rounded ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.evaluation.smoothness import jerk, path_length
from prana_ros.so101.kinematics import forward
from prana_ros.so101.model import ACTUATOR, REST_POSE

COUNT = 2 * np.pi / ACTUATOR.counts_per_turn


def sinusoid(frequency: float, amplitude: float, duration: float = 6.0, rate: float = 100.0):
    times = np.arange(0, duration, 1 / rate)
    phases = np.arange(6.0)
    return times, amplitude * np.sin(2 * np.pi * frequency * times[:, None] + phases)


def minimum_jerk(duration: float, distance: float):
    """From standstill to standstill in all joints."""
    times = np.arange(0, duration + 0.005, 0.01)
    share = times / duration
    path = distance * share**3 * (10 - 15 * share + 6 * share**2)
    return times, np.tile(path[:, None], 6)


def rounded(positions: np.ndarray) -> np.ndarray:
    return np.round(positions / COUNT) * COUNT


@pytest.mark.parametrize(("frequency", "passes"), [(0.25, 1.0), (0.5, 0.99), (1.0, 0.97), (2.0, 0.87), (4.0, 0.56)])
def test_jerk_of_a_sinusoid(frequency, passes):
    times, positions = sinusoid(frequency, amplitude=0.5, duration=8.0)
    exact = 0.5 * (2 * np.pi * frequency) ** 3 / np.sqrt(2)
    assert jerk(times, positions) == pytest.approx(passes * exact, rel=0.02)


@pytest.mark.parametrize("duration", [1.0, 1.7, 3.0])
def test_jerk_of_a_minimum_jerk_move(duration):
    times, positions = minimum_jerk(duration, distance=1.2)
    # Both ends, where it is largest, lie within half a window.
    inside = slice(12, -12)
    share = times[inside] / duration
    third = 1.2 * (60 - 360 * share + 360 * share**2) / duration**3
    assert jerk(times, positions) == pytest.approx(np.sqrt(np.mean(third**2)), rel=0.02)


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.integers(25, 300))
def test_a_parabola_has_no_jerk_and_a_cubic_a_constant_one(coefficients, length):
    times = np.arange(length) / 100
    parabola = np.tile(np.polyval(coefficients, times)[:, None], 6)
    assert jerk(times, parabola) < 1e-4
    assert jerk(times, parabola + 0.7 * times[:, None] ** 3) == pytest.approx(4.2, abs=1e-4)


def test_one_jerking_joint_of_six_counts_a_sixth_of_the_squares():
    times, positions = sinusoid(0.5, amplitude=0.5)
    one = np.zeros_like(positions)
    one[:, 2] = positions[:, 2]
    alone = np.tile(positions[:, 2:3], 6)
    assert jerk(times, one) == pytest.approx(jerk(times, alone) / np.sqrt(6))


def expert_like():
    """Minimum-jerk moves of the expert's kind, with pauses: jerk as it is there."""
    moves = [minimum_jerk(duration, distance)[1] for duration, distance in ((1.7, 1.5), (0.8, 0.3), (1.4, -1.2))]
    parts, here = [], np.array(REST_POSE)
    for move in moves:
        parts += [here + move * np.linspace(0.2, 1.0, 6), np.tile(here + move[-1] * np.linspace(0.2, 1.0, 6), (20, 1))]
        here = parts[-1][-1]
    positions = np.concatenate(parts)
    return np.arange(len(positions)) / 100, positions


def test_the_rounding_of_servos_hardly_shows():
    times, positions = expert_like()
    assert jerk(times, positions) > 5
    assert jerk(times, rounded(positions)) == pytest.approx(jerk(times, positions), rel=0.05)
    assert path_length(times, rounded(positions)) == pytest.approx(path_length(times, positions), rel=0.01)


@given(st.integers(0, 1000))
def test_what_rounding_adds_is_what_the_filter_makes_of_it(seed):
    """White rounding errors, as of an arm that moves: 1.8 rad/s³."""
    rng = np.random.default_rng(seed)
    errors = rng.uniform(-COUNT / 2, COUNT / 2, (1000, 6))
    assert jerk(np.arange(1000) / 100, errors) == pytest.approx(1.8, rel=0.1)


def test_joint_states_that_come_irregularly_give_the_same_figures():
    times, positions = sinusoid(0.5, amplitude=0.4)
    rng = np.random.default_rng(0)
    # 100 a second with some jitter, and a few missing.
    jittered = np.sort(rng.choice(np.arange(0, 5.99, 0.01) + rng.uniform(-1e-3, 1e-3, 599), 580, replace=False))
    states = np.stack([np.interp(jittered, times, column) for column in positions.T], axis=1)
    assert jerk(jittered, rounded(states)) == pytest.approx(jerk(times, positions), rel=0.05)
    assert path_length(jittered, rounded(states)) == pytest.approx(path_length(times, positions), rel=0.01)
    late = jittered + 1.77e9
    assert jerk(late, states) == pytest.approx(jerk(jittered, states), rel=1e-2)


def test_the_way_of_a_turn_about_the_pan_axis_is_an_arc():
    angles = np.linspace(-0.5, 0.9, 301)
    positions = np.tile(REST_POSE, (301, 1))
    positions[:, 0] = angles
    axis = np.array([0.0388, 0.0])
    radius = np.linalg.norm(forward(positions[0])[:2, 3] - axis)
    assert path_length(np.arange(301) / 100, positions) == pytest.approx(1.4 * radius, rel=1e-4)


def test_an_arm_at_rest_goes_nowhere_and_the_gripper_does_not_move_the_point():
    positions = np.tile(REST_POSE, (100, 1))
    positions[:, 5] = np.linspace(0, 1, 100)
    assert path_length(np.arange(100) / 100, positions) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("length", [1, 2, 24])
def test_a_record_shorter_than_the_filter_has_a_way_but_no_jerk(length):
    times, positions = sinusoid(0.5, amplitude=0.4)
    assert jerk(times[:length], positions[:length]) == 0.0
    points = forward(positions[:length])[:, :3, 3]
    assert path_length(times[:length], positions[:length]) == pytest.approx(
        np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
    )
