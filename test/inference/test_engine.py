"""Chunk after chunk: each goes on from the plan that the arm follows, whatever the latency."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.predictors import RandomWalk, spec

from prana_ros.inference.engine import ChunkError, InferenceEngine, Settings
from prana_ros.inference.observations import Observation
from prana_ros.inference.plan import NANOSECONDS
from prana_ros.inference.predictor import PolicyInput
from prana_ros.inference.scheduler import OVERLAP_STEPS, SchedulingMode
from prana_ros.inference.streams import InputReading
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.trajectory import Trajectory
from prana_ros.so101.trajectory_sampler import TrajectorySampler

EPOCH = 1_770_000_000 * NANOSECONDS
MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = EPOCH

    def __call__(self) -> int:
        return self.ns


def observe(t_obs_ns: int, state: np.ndarray | None = None) -> Observation:
    entry = PolicyInput(np.zeros(6) if state is None else state, {})
    return Observation(t_obs_ns, "joint_states", (entry,), (InputReading("joint_states", t_obs_ns, 0.0, 1, 0),))


def accept(sampler: TrajectorySampler, plan, now: int) -> None:
    times_s = (plan.times_ns - plan.start_ns) / NANOSECONDS
    sampler.accept(Trajectory("", plan.start_ns, JOINT_NAMES, times_s, plan.positions), now)


@settings(max_examples=40)
@given(
    latencies_ms=st.lists(st.integers(1, 250), min_size=3, max_size=12),
    ages_ms=st.lists(st.integers(0, 60), min_size=12, max_size=12),
    mode=st.sampled_from(SchedulingMode),
    rate=st.sampled_from([0.5, 1.0]),
    chunk_size=st.sampled_from([16, 30]),
)
def test_the_arm_follows_one_continuous_plan(latencies_ms, ages_ms, mode, rate, chunk_size):
    """The driver's sampler is the arm. Latencies are what they are, also worse than any before."""
    clock = Clock()
    latency = iter(latencies_ms)
    policy = RandomWalk(spec(chunk_size=chunk_size))
    engine = InferenceEngine(policy, Settings(mode=mode, playback_rate=rate))
    engine.start("")
    policy.during = lambda: setattr(clock, "ns", clock.ns + next(latency) * MS)
    sampler = TrajectorySampler(np.zeros(6))
    known_ns = 0
    for age_ms in ages_ms[: len(latencies_ms)]:
        clock.ns = max(clock.ns + 10 * MS, engine.next_start_ns() or 0)
        before, expected = engine.running, engine.latency.p95
        chunk = engine.infer(observe(clock.ns - age_ms * MS, sampler.sample(clock.ns)), clock)
        seam = engine.seam(chunk, clock.ns)
        took = (clock.ns - chunk.started_ns) / NANOSECONDS
        if before is None:
            assert seam is None
        else:
            # What the arm has done, and will do until the prefix is over, is in the new chunk unchanged.
            given_ns = chunk.plan.times_ns[: chunk.prefix_length]
            np.testing.assert_allclose(chunk.plan.positions[: chunk.prefix_length], before.at(given_ns), atol=1e-9)
            if chunk.prefix_length and seam.time_ns <= given_ns[-1]:
                np.testing.assert_allclose(seam.position_step, 0.0, atol=1e-9)
            # A chunk that is no later than expected takes over within the prefix: no step, by construction.
            if took <= expected and before.end_ns > seam.time_ns:
                np.testing.assert_allclose(seam.position_step, 0.0, atol=1e-9)
        accept(sampler, chunk.plan, clock.ns)
        engine.accept(chunk, clock.ns)
        if clock.ns < known_ns or before is None:
            # On the way to its first point the arm leaves a hold that the engine does not know.
            known_ns = chunk.plan.first_from(clock.ns)
        begin = max(known_ns, clock.ns)
        for t in [begin + i * (chunk.plan.end_ns - begin) // 30 for i in range(31)]:
            np.testing.assert_allclose(engine.running.at(t), sampler.sample(t), atol=1e-6)


def test_a_chunk_keeps_its_own_times_and_the_playback_rate_stretches_them():
    engine = InferenceEngine(RandomWalk(spec(fps=30.0)), Settings(playback_rate=1 / 3))
    chunk = engine.infer(observe(EPOCH - 40 * MS), Clock())
    assert chunk.plan.start_ns == EPOCH - 40 * MS
    np.testing.assert_array_equal(np.diff(chunk.plan.times_ns), 100 * MS)


def test_rolling_uses_the_executed_and_the_overlap_steps_only():
    engine = InferenceEngine(
        RandomWalk(spec(chunk_size=50)), Settings(mode=SchedulingMode.ROLLING, execute_steps=20, overlap_steps=5)
    )
    clock = Clock()
    chunk = engine.infer(observe(EPOCH), clock)
    assert len(chunk.plan.times_ns) == 25
    engine.accept(chunk, clock.ns)
    assert (
        engine.next_start_ns() == EPOCH + 19 * 100 * MS
    )  # the last step of the overlap is the 25th; no latency measured yet


@pytest.mark.parametrize("mode", SchedulingMode)
def test_the_overlap_has_the_mode_s_default(mode):
    assert (
        InferenceEngine(RandomWalk(spec(chunk_size=50)), Settings(mode=mode)).scheduler.overlap_steps
        == OVERLAP_STEPS[mode]
    )


@pytest.mark.parametrize(
    ("settings_", "sentence"),
    [
        (Settings(overlap_steps=16), "overlap_steps is 16, but must be from 0 to 15"),
        (
            Settings(SchedulingMode.ROLLING, execute_steps=14, overlap_steps=4),
            "execute_steps is 14, but must be from 1 to 12",
        ),
        (Settings(playback_rate=0.0), "playback_rate is 0.0"),
    ],
)
def test_settings_that_do_not_fit_the_chunk_are_refused(settings_, sentence):
    with pytest.raises(ValueError, match=sentence):
        InferenceEngine(RandomWalk(spec()), settings_)


def test_other_settings_hold_from_the_next_run_on_and_keep_the_measured_latency():
    engine = InferenceEngine(RandomWalk(spec(chunk_size=16)), Settings())
    engine.latency.add_warm_up(0.2)
    engine.change(Settings(mode=SchedulingMode.ROLLING, overlap_steps=5, playback_rate=0.5))
    fresh = InferenceEngine(RandomWalk(spec(chunk_size=16)), engine.settings)
    assert engine.scheduler == fresh.scheduler
    assert engine.step_ns == fresh.step_ns == 200 * MS
    assert engine.latency.p95 == 0.2
    with pytest.raises(ValueError, match="overlap_steps is 16"):
        engine.change(Settings(overlap_steps=16))
    assert engine.step_ns == 200 * MS


def test_noise_seeds_count_up():
    engine = InferenceEngine(RandomWalk(spec()), Settings(seed=7))
    chunks = [engine.infer(observe(EPOCH), Clock()) for _ in range(3)]
    assert [(chunk.chunk_id, chunk.noise_seed) for chunk in chunks] == [(1, 7), (2, 8), (3, 9)]


def test_a_policy_without_inpainting_is_given_no_prefix():
    policy = RandomWalk(spec(takes_prefix=False))
    engine, clock = InferenceEngine(policy, Settings()), Clock()
    for _ in range(3):
        chunk = engine.infer(observe(clock.ns), clock)
        engine.accept(chunk, clock.ns)
        clock.ns += 100 * MS
    assert policy.prefixes == [None] * 3
    assert chunk.prefix_length == 0


def test_after_a_long_stall_the_chunk_starts_afresh_from_the_hold():
    policy, clock = RandomWalk(spec()), Clock()
    engine = InferenceEngine(policy, Settings())
    engine.accept(engine.infer(observe(EPOCH), clock), clock.ns)
    clock.ns = engine.running.end_ns + 5 * NANOSECONDS
    held = engine.running.positions[-1]
    chunk = engine.infer(observe(clock.ns - 50 * MS), clock)
    assert policy.prefixes[-1] is None
    seam = engine.seam(chunk, clock.ns)
    np.testing.assert_allclose(seam.position_step, chunk.plan.at(seam.time_ns) - held)


def test_a_new_run_forgets_the_plan_and_the_policy_s_memory():
    policy, clock = RandomWalk(spec()), Clock()
    engine = InferenceEngine(policy, Settings())
    engine.accept(engine.infer(observe(EPOCH), clock), clock.ns)
    engine.start("pick it up")
    assert engine.running is None
    assert policy.resets == 1
    engine.infer(observe(EPOCH), clock)
    assert policy.prefixes[-1] is None
    assert policy.tasks[-1] == "pick it up"


def test_a_chunk_after_its_own_end_is_refused():
    clock = Clock()
    policy = RandomWalk(spec(), during=lambda: setattr(clock, "ns", clock.ns + 2 * NANOSECONDS))
    engine = InferenceEngine(policy, Settings())
    chunk = engine.infer(observe(EPOCH), clock)
    with pytest.raises(ChunkError, match=r"came 0\.50 s after its own end"):
        engine.seam(chunk, clock.ns)


def test_at_the_last_instant_of_a_chunk_engine_and_driver_still_take_it():
    clock, engine = Clock(), InferenceEngine(RandomWalk(spec()), Settings())
    chunk, sampler = engine.infer(observe(EPOCH), clock), TrajectorySampler(np.zeros(6))
    end_ns = chunk.plan.end_ns
    assert engine.seam(chunk, end_ns) is None, "nothing was running"
    engine.accept(chunk, end_ns)
    accept(sampler, chunk.plan, end_ns)
    np.testing.assert_array_equal(sampler.sample(end_ns), engine.running.at(end_ns))
    with pytest.raises(ChunkError, match="after its own end"):
        engine.seam(chunk, end_ns + 1)


def spoil_one(positions: np.ndarray) -> np.ndarray:
    positions[3, 2] = np.nan
    return positions


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_one, "not finite for elbow_flex"),
        (lambda p: p[:, :5], r"shape \(16, 5\)"),
        (lambda p: p[:0], r"\(0, 6\)"),
    ],
)
def test_what_is_no_chunk_is_refused(spoil, sentence):
    policy = RandomWalk(spec())
    policy.spoil = spoil
    with pytest.raises(ChunkError, match=sentence):
        InferenceEngine(policy, Settings()).infer(observe(EPOCH), Clock())


def test_a_policy_that_fails_is_reported_in_one_sentence():
    def fail() -> None:
        raise RuntimeError("CUDA error:\n  out of memory")

    with pytest.raises(ChunkError, match=r"^The policy failed: CUDA error: out of memory$"):
        InferenceEngine(RandomWalk(spec(), during=fail), Settings()).infer(observe(EPOCH), Clock())


def test_the_warm_up_estimates_the_latency_and_moves_nothing():
    policy = RandomWalk(spec(cameras=("table",)))
    engine = InferenceEngine(policy, Settings())
    engine.warm_up()
    assert np.isclose(engine.latency.p95, 0.007)
    assert engine.running is None
