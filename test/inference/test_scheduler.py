"""When the next inference starts and how much of the running plan its chunk is given."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.inference.plan import NANOSECONDS, plan_of_chunk
from prana_ros.inference.scheduler import ENOUGH, WINDOW, Latency, Scheduler, SchedulingMode

EPOCH = 1_770_000_000 * NANOSECONDS
LATENCIES = st.floats(0.001, 2.0)


def plan(steps: int, step_ns: int, start: int = EPOCH):
    return plan_of_chunk(start, np.zeros((steps, 6)), step_ns)


@given(st.lists(LATENCIES, min_size=ENOUGH, max_size=120), st.lists(LATENCIES, max_size=5))
def test_p95_is_of_the_last_fifty_and_forgets_the_warm_up(measured, warm_up):
    latency = Latency()
    for value in warm_up:
        latency.add_warm_up(value)
    for value in measured:
        latency.add(value)
    ordered = sorted(measured[-WINDOW:])
    rank = 0.95 * (len(ordered) - 1)
    below, above = ordered[int(rank)], ordered[min(int(rank) + 1, len(ordered) - 1)]
    assert np.isclose(latency.p95, below + (above - below) * (rank - int(rank)))


def test_the_warm_up_counts_until_enough_is_measured():
    latency = Latency()
    assert latency.p95 == 0.0
    latency.add_warm_up(0.4)
    assert latency.p95 == 0.4
    for _ in range(ENOUGH - 1):
        latency.add(0.1)
    assert latency.p95 > 0.3
    latency.add(0.1)
    assert np.isclose(latency.p95, 0.1)


@given(
    steps=st.integers(2, 60),
    step_ms=st.integers(5, 300),
    saved=st.integers(0, 20),
    latency=LATENCIES,
    observed_ms=st.integers(0, 5000),
    age_ms=st.integers(0, 1000),
)
def test_the_prefix_is_every_step_before_now_plus_latency_plus_the_saved_ones(
    steps, step_ms, saved, latency, observed_ms, age_ms
):
    step_ns = step_ms * 1_000_000
    running = plan(steps, step_ns)
    t_obs = EPOCH + observed_ms * 1_000_000
    now = t_obs + age_ms * 1_000_000
    scheduler = Scheduler(SchedulingMode.CONTINUOUS, step_ns, saved)
    horizon = now + round(latency * NANOSECONDS) + saved * step_ns
    wanted = 0
    for i in range(steps - 1):  # one step at least stays free
        if t_obs + i * step_ns < horizon and t_obs + i * step_ns <= running.end_ns:
            wanted += 1
    assert scheduler.prefix_length(running, t_obs, now, latency, steps) == wanted


def test_without_a_running_plan_nothing_is_given_and_the_inference_starts_at_once():
    scheduler = Scheduler(SchedulingMode.ROLLING, 100_000_000, 3)
    assert scheduler.prefix_length(None, EPOCH, EPOCH, 0.1, 16) == 0
    assert scheduler.start_ns(None, 0.1) is None


@given(steps=st.integers(12, 60), saved=st.integers(0, 10), latency=LATENCIES)
def test_rolling_a_chunk_of_the_expected_latency_arrives_when_the_saved_part_begins(steps, saved, latency):
    step_ns = 33_333_333
    running = plan(steps, step_ns)
    start = Scheduler(SchedulingMode.ROLLING, step_ns, saved).start_ns(running, latency)
    arrival = start + round(latency * NANOSECONDS)
    assert arrival == running.times_ns[-1 - saved]


def test_continuous_starts_at_once():
    assert Scheduler(SchedulingMode.CONTINUOUS, 1, 3).start_ns(plan(10, 1), 0.1) is None
