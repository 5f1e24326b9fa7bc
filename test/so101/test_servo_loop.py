"""The loop and its clocks."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.so101.extrapolated_clock import STALL, ExtrapolatedClock
from prana_ros.so101.loop_timing import LoopTiming
from prana_ros.so101.servo_loop import ServoLoop

pytestmark = pytest.mark.usefixtures("measures_time")


class HandClock:
    """A source and a steady clock that the test sets."""

    def __init__(self):
        self.source_ns, self.steady = 0, 50.0

    def pass_time(self, seconds, rate):
        self.steady += seconds
        self.source_ns += round(seconds * rate * 1e9)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_a_simulated_clock_is_passed_on_as_it_is_and_carried_on_at_its_rate_where_it_stops(rate):
    hand = HandClock()
    clock = ExtrapolatedClock(lambda: hand.source_ns, lambda: hand.steady)
    for _ in range(500):
        hand.pass_time(0.01, rate)
        assert clock() == hand.source_ns
    stopped = hand.source_ns
    hand.steady += STALL / 2
    assert clock() == stopped
    hand.steady += 10.0
    assert clock() == pytest.approx(stopped + rate * (10.0 + STALL / 2) * 1e9, rel=1e-6)
    hand.pass_time(0.01, rate)
    assert clock() == hand.source_ns


def test_a_clock_that_never_began_runs_like_any_other():
    hand = HandClock()
    clock = ExtrapolatedClock(lambda: hand.source_ns, lambda: hand.steady)
    hand.steady += 3.0
    assert clock() == pytest.approx(3e9)


def test_a_simulation_that_begins_anew_keeps_the_rate():
    hand = HandClock()
    clock = ExtrapolatedClock(lambda: hand.source_ns, lambda: hand.steady)
    for _ in range(300):
        hand.pass_time(0.01, 0.5)
        clock()
    hand.source_ns = 0
    assert clock() == 0
    hand.steady += 2.0
    assert clock() == pytest.approx(1e9, rel=1e-6)


@given(st.lists(st.floats(1e-4, 0.1), min_size=1, max_size=300))
def test_timing_figures(periods):
    timing = LoopTiming(100.0)
    starts = np.concatenate([[3.0], 3.0 + np.cumsum(periods)])
    for start in starts:
        timing.record(start)
    assert timing.rate() == pytest.approx(len(periods) / (starts[-1] - starts[0]))
    assert timing.period_error_p99() == pytest.approx(np.percentile(np.abs(np.diff(starts) - 0.01), 99))


def test_timing_covers_ten_seconds_and_says_nothing_before_it_knows():
    timing = LoopTiming(100.0)
    assert (timing.rate(), timing.period_error_p99()) == (0.0, 0.0)
    timing.record(0.0)
    assert timing.rate() == 0.0
    for i in range(5000):
        timing.record(100.0 + 0.02 * i)
    assert timing.rate() == pytest.approx(50.0)


def test_the_loop_gives_the_plans_time_and_ends_when_told():
    times, enough = [], threading.Event()

    def cycle(now_ns):
        times.append(now_ns)
        if len(times) == 20:
            enough.set()

    loop = ServoLoop(cycle, 100.0, time.time_ns)
    loop.start()
    assert enough.wait(30.0)
    loop.stop()
    count = len(times)
    assert not loop.is_running
    assert abs(times[0] - time.time_ns()) < 60e9
    time.sleep(0.1)
    assert len(times) == count
    assert np.all(np.diff(times) > 0)


def test_on_a_simulated_clock_the_loop_follows_that_clock():
    """Twice as fast as real time: so many cycles in so much simulated time, whatever the machine does."""
    begin = time.monotonic_ns()
    cycles, enough = [], threading.Event()

    def clock_ns():
        return 2 * (time.monotonic_ns() - begin)

    def cycle(now_ns):
        cycles.append(now_ns)
        if now_ns > 2e9:
            enough.set()

    loop = ServoLoop(cycle, 50.0, clock_ns, simulated=True)
    loop.start()
    assert enough.wait(30.0)
    loop.stop()
    assert np.diff(cycles).min() > 0
    # 2 s at 50 Hz; fewer only where the machine was too slow, never more.
    assert len(cycles) <= 103


def test_a_simulated_clock_that_is_set_back_does_not_stop_the_loop():
    """As when the simulator is started anew."""
    offset = [10**12]
    before, after = threading.Event(), threading.Event()

    def cycle(now_ns):
        (before if now_ns >= 10**12 else after).set()

    begin = time.monotonic_ns()
    loop = ServoLoop(cycle, 50.0, lambda: offset[0] + time.monotonic_ns() - begin, simulated=True)
    loop.start()
    try:
        assert before.wait(30.0)
        offset[0] = 0
        assert after.wait(30.0)
    finally:
        loop.stop()


def test_a_loop_that_fails_says_why(caplog):
    def cycle(_):
        raise RuntimeError("broken")

    loop = ServoLoop(cycle, 100.0, time.time_ns)
    loop.start()
    loop._thread.join(10.0)
    assert not loop.is_running
    assert str(loop.failure) == "broken"
    assert "the servo loop has ended" in caplog.text
