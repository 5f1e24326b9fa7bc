"""The limiter: transparent within the limits, and nothing passes outside them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prana_ros.so101.limits import Limiter, Limits, stopping_speed

PERIOD = 0.01
LIMITS = Limits(np.full(6, -1.0), np.full(6, 1.2), np.full(6, 2.0), np.full(6, 15.0))
ANY_TARGET = st.lists(st.floats(-4.0, 4.0).map(lambda x: np.full(6, x)), min_size=1, max_size=12)


def run(limiter, targets):
    return np.array([limiter.step(target, PERIOD) for target in targets])


def assert_within(commands, start, limits=LIMITS):
    path = np.vstack([start, start, commands])
    velocity = np.diff(path, axis=0) / PERIOD
    assert np.all(path <= limits.upper + 1e-9)
    assert np.all(path >= limits.lower - 1e-9)
    assert np.all(np.abs(velocity) <= limits.velocity + 1e-9)
    assert np.all(np.abs(np.diff(velocity, axis=0)) <= limits.acceleration * PERIOD + 1e-7)


@given(ANY_TARGET, st.integers(1, 60), st.floats(-1.0, 1.2))
def test_every_limit_holds_for_any_targets(targets, repeats, start):
    limiter = Limiter(LIMITS, np.full(6, start))
    commands = run(limiter, np.repeat(targets, repeats, axis=0))
    assert_within(commands, np.full(6, start))


@given(st.integers(0, 2**32 - 1))
def test_noise_as_target_stays_within_the_limits(seed):
    targets = np.random.default_rng(seed).normal(0.0, 1.0, (300, 6))
    assert_within(run(Limiter(LIMITS), targets), np.zeros(6))


@settings(max_examples=50)
@given(st.floats(-1.0, 1.2), st.floats(-3.0, 3.0))
def test_a_step_is_reached_without_overshoot_and_stays(start, target):
    limiter = Limiter(LIMITS, np.full(6, start))
    commands = run(limiter, np.full((400, 6), target))
    final = np.clip(target, -1.0, 1.2)
    low, high = sorted((start, final))
    assert np.all(commands >= low - 1e-9)
    assert np.all(commands <= high + 1e-9)
    np.testing.assert_allclose(commands[-1], final, atol=1e-9)


def test_a_long_step_takes_the_time_of_the_trapezoid():
    """Accelerate, cruise, brake: the least time that velocity and acceleration limits allow, plus a cycle or two."""
    commands = run(Limiter(LIMITS, np.full(6, -1.0)), np.full((300, 6), 1.0))
    reached = np.flatnonzero(commands[:, 0] > 1.0 - 1e-6)[0] * PERIOD
    assert reached == pytest.approx(2.0 / 2.0 + 2.0 / 15.0, abs=2 * PERIOD)


@settings(max_examples=30)
@given(
    st.floats(0.05, 0.4),
    st.floats(0.1, 1.0),
    st.floats(0.0, 6.28),
    st.integers(0, 2**32 - 1),
)
def test_a_plan_within_the_limits_passes_unchanged(amplitude, frequency, phase, seed):
    rng = np.random.default_rng(seed)
    # Cycles of unequal length, as a busy machine makes them.
    periods = PERIOD * rng.uniform(0.7, 1.3, 400)
    times = np.cumsum(periods)
    omega = 2.0 * np.pi * frequency
    ramp = 1.0 - np.exp(-((times / 0.4) ** 2))
    plan = amplitude * ramp * (np.sin(omega * times + phase) - np.sin(phase))
    velocity = np.diff(plan, prepend=0.0) / periods
    acceleration = np.abs(np.diff(velocity, prepend=0.0)) / np.minimum(periods, np.roll(periods, 1))
    allowed = max(np.abs(velocity).max(), acceleration.max()) * 1.01 + 1e-6
    limits = Limits(np.full(6, -9.0), np.full(6, 9.0), np.full(6, allowed), np.full(6, allowed))
    limiter = Limiter(limits)
    commands = [limiter.step(np.full(6, p), dt)[0] for p, dt in zip(plan, periods, strict=True)]
    np.testing.assert_allclose(commands, plan, atol=1e-9)
    assert limiter.limited == 0


def test_limited_cycles_are_counted():
    limiter = Limiter(LIMITS)
    run(limiter, np.zeros((10, 6)))
    assert limiter.limited == 0
    limiter.step(np.full(6, 0.5), PERIOD)
    assert limiter.limited == 1
    limiter.reset(np.zeros(6))
    run(limiter, np.full((1000, 6), 5.0))
    np.testing.assert_allclose(limiter.position, LIMITS.upper)
    assert limiter.limited == 1001


def test_an_arm_outside_its_limits_is_not_pushed_and_goes_no_further():
    limiter = Limiter(LIMITS, np.full(6, 1.3))
    np.testing.assert_array_equal(run(limiter, np.full((50, 6), 1.3))[-1], np.full(6, 1.3))
    np.testing.assert_array_equal(run(limiter, np.full((50, 6), 2.0))[-1], np.full(6, 1.3))
    back = run(limiter, np.full((300, 6), 0.0))
    assert np.all(np.diff(back, axis=0) <= 1e-12)
    np.testing.assert_allclose(back[-1], 0.0, atol=1e-9)


@given(st.floats(0.0, 10.0), st.floats(0.5, 100.0))
def test_stopping_speed_inverts_the_braking_distance(distance, acceleration):
    speed = float(stopping_speed(np.array(distance), np.array(acceleration), PERIOD))
    step = acceleration * PERIOD
    cycles = np.arange(0, int(speed / step) + 1)
    assert np.sum(speed - cycles * step) * PERIOD == pytest.approx(distance, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lower": np.full(6, 2.0)}, "must be below"),
        ({"velocity": np.zeros(6)}, "velocity limits .* positive"),
        ({"acceleration": np.full(6, np.nan)}, "acceleration limits .* positive"),
    ],
)
def test_impossible_limits(changes, sentence):
    fields = {
        "lower": np.full(6, -1.0),
        "upper": np.ones(6),
        "velocity": np.ones(6),
        "acceleration": np.ones(6),
    }
    with pytest.raises(ValueError, match=sentence):
        Limits(**(fields | changes))
