"""When an inference begins, when its chunk arrives, and what has to be seen for it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunk_policies import small_spec

from prana_ros.evaluation.playback import Playback, Schedule

playbacks = st.builds(
    Playback,
    execute_steps=st.integers(1, 16),
    asynchronous=st.booleans(),
    latency=st.one_of(st.just(0.0), st.floats(0.0, 1.5)),
)
specs = st.builds(
    lambda fps, steps: replace(small_spec(observation_steps=steps), fps=float(fps)),
    st.sampled_from([5, 10, 20, 25, 50]),
    st.integers(1, 4),
)


@given(playbacks, specs)
def test_each_observation_has_its_frames_and_its_chunk_before_the_next(playback, spec):
    schedule = Schedule.of(playback, spec)
    period = 100 // int(spec.fps)
    begins = [tick for tick in range(1000) if schedule.observes(tick)]
    arrivals = [tick for tick in range(1000) if schedule.arrives(tick)]
    wanted = set()
    for begin in begins:
        frames = schedule.frames(begin)
        assert len(frames) == spec.observation_steps
        assert frames == [max(begin - period * age, 0) for age in range(spec.observation_steps - 1, -1, -1)]
        wanted |= set(frames)
    drawn = {tick for tick in range(1000) if schedule.needs_frame(tick)}
    assert wanted <= drawn
    assert drawn - wanted <= set(range(begins[-1], 1000)), "only for one that is yet to come"
    for begin, arrival in zip(begins, arrivals, strict=False):
        assert -1e-6 < arrival - begin - 100 * playback.latency < 1 + 1e-6
        assert arrival <= begin + schedule.cycle
    if playback.asynchronous:
        assert schedule.cycle % period == 0, "an inference begins with a frame"
        assert begins[1] >= arrivals[0]
        assert begins[1] - max(arrivals[0], 1) < period, "with the first one after the arrival"
    else:
        assert begins[1] - arrivals[0] == playback.execute_steps * period


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"execute_steps": 0}, "execute_steps is 0; it must be at least 1"),
        ({"latency": -0.1}, r"latency is -0\.1 s; it must be 0 or more"),
        ({"latency": float("inf")}, "latency is inf s"),
        ({"latency": float("nan")}, "latency is nan s"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Playback(**arguments)


@pytest.mark.parametrize(
    ("playback", "fps", "sentence"),
    [
        (Playback(), 30.0, r"fps is 30\.0; it must divide 100"),
        (Playback(), 200.0, r"fps is 200\.0; it must divide 100"),
        (Playback(), None, "fps is None; it must divide 100"),
        (Playback(execute_steps=17), 10.0, "execute_steps is 17; it must be at most 16, the policy's chunk"),
        (Playback(asynchronous=True, latency=0.76), 20.0, r"latency is 0\.76 s; it must be at most 0\.75 s"),
    ],
)
def test_a_policy_that_cannot_be_played_so_is_refused(playback, fps, sentence):
    with pytest.raises(ValueError, match=sentence):
        playback.require_fit(replace(small_spec(), fps=fps))


def test_what_only_the_other_way_of_playing_needs_is_not_asked_for():
    spec = small_spec()
    Playback(execute_steps=50, asynchronous=True, latency=1.5).require_fit(spec)
    Playback(execute_steps=16, latency=5.0).require_fit(spec)
