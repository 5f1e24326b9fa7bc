"""Pairing by time of capture. Every sample carries its stamp, so that a made-up or misplaced one would show."""

import contextlib
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.inference.observations import JOINT_STATES, InputError, ObservationBuffer
from prana_ros.inference.plan import NANOSECONDS
from prana_ros.inference.streams import InputStream
from prana_ros.so101.model import JOINT_NAMES

EPOCH = 1_770_000_000 * NANOSECONDS
MS = 1_000_000
STEP = 100 * MS


def image(stamp: int) -> np.ndarray:
    """An image that says when it was captured."""
    return np.full((1, 1, 1), stamp, dtype=np.int64)


def joints(stamp: int) -> list[float]:
    return [(stamp - EPOCH) / NANOSECONDS] * 6


def fill(buffer: ObservationBuffer, stamps: dict[str, list[int]]) -> None:
    for name, values in stamps.items():
        for stamp in values:
            if name == JOINT_STATES:
                buffer.add_joint_state(stamp, JOINT_NAMES, joints(stamp))
            else:
                buffer.add_image(name, stamp, image(stamp))


@st.composite
def streams(draw: st.DrawFn) -> dict[str, list[int]]:
    """Two cameras and the joints, each with its own period, phase, jitter and end."""
    result = {}
    for name, periods in (("table", (30, 120)), ("wrist", (30, 120)), (JOINT_STATES, (5, 20))):
        period = draw(st.integers(*periods)) * MS
        count = draw(st.integers(8, 30) if name != JOINT_STATES else st.integers(60, 80))
        phase = draw(st.integers(0, period))
        jitter = [draw(st.integers(-period // 20, period // 20)) for _ in range(count)]
        # All end at about the same time, as streams do that are alive.
        result[name] = [EPOCH + phase + i * period + jitter[i] - count * period for i in range(count)]
    return result


@given(streams())
def test_every_input_is_its_newest_sample_until_t_obs_with_half_a_period_of_grace(stamps):
    buffer = ObservationBuffer(("table", "wrist"), STEP)
    fill(buffer, stamps)
    now = EPOCH + 130 * MS
    t_obs = min(values[-1] for values in stamps.values())
    expected = {}
    for name, values in stamps.items():
        grace = int(np.median(np.diff(values))) // 2
        expected[name] = max((s for s in values if s <= t_obs + grace), default=None)
    observation = buffer.observe(now)
    assert observation.t_obs_ns == t_obs
    used = {reading.name: reading for reading in observation.readings}
    assert {name: reading.stamp_ns for name, reading in used.items()} == expected
    (newest,) = observation.history
    for camera in ("table", "wrist"):
        assert newest.images[camera].item() == expected[camera]
    np.testing.assert_array_equal(newest.state, joints(expected[JOINT_STATES]))
    assert all(np.isclose(r.age, (now - r.stamp_ns) / NANOSECONDS) for r in used.values())
    assert np.isclose(observation.skew, (max(expected.values()) - min(expected.values())) / NANOSECONDS)


CAMERA_SETS = st.sampled_from([("table", "wrist"), ("table",), ()])


@given(CAMERA_SETS, st.dictionaries(st.sampled_from(["table", "wrist", JOINT_STATES]), st.integers(1, 40)))
def test_only_a_newer_image_is_news_unless_there_are_no_cameras(cameras, progress_ms):
    buffer = ObservationBuffer(cameras, STEP)
    inputs = (*cameras, JOINT_STATES)
    fill(buffer, {name: [EPOCH] for name in inputs})
    before = buffer.observe(EPOCH)
    fill(buffer, {name: [EPOCH + progress_ms[name] * MS] for name in inputs if name in progress_ms})
    now = buffer.observe(EPOCH + 40 * MS)
    paired = [name for name in cameras if now.history[-1].images[name].item() > EPOCH]
    stale = now.stale_camera(before)
    assert (stale is None) == (bool(paired) or not cameras)
    assert stale in (None, *cameras)


@given(streams(), st.sampled_from(["table", "wrist", JOINT_STATES]))
def test_a_missing_input_is_named_and_nothing_is_filled_in(stamps, missing):
    del stamps[missing]
    buffer = ObservationBuffer(("table", "wrist"), STEP)
    fill(buffer, stamps)
    with pytest.raises(InputError, match=f"'{missing}' has published nothing"):
        buffer.observe(EPOCH)


@given(st.integers(24, 80), st.data())
def test_lost_frames_are_the_gaps_in_the_stamps(count, data):
    # One at a time, and not before most gaps are a period: what is lost is told by the gaps around.
    lost = data.draw(st.sets(st.integers(6, (count - 2) // 2).map(lambda i: 2 * i), max_size=8))
    stream = InputStream("table", 10 * NANOSECONDS)
    for i in range(count):
        if i not in lost:
            stream.add(EPOCH + i * 33 * MS, None)
    assert stream.lost == len(lost)
    assert stream.received == count - len(lost)


@given(st.lists(st.integers(-2, 2), min_size=30, max_size=60))
def test_jitter_of_an_eighth_of_a_period_is_no_loss(jitter):
    """Gaps are 12 to 20 ms then: even the largest is below 1.75 times whichever the median is."""
    stream = InputStream(JOINT_STATES, NANOSECONDS)
    for i, offset in enumerate(jitter):
        stream.add(EPOCH + i * 16 * MS + offset * MS, None)
    assert stream.lost == 0


def test_an_outage_counts_as_many_frames_as_it_took():
    stream = InputStream("table", NANOSECONDS)
    for i in [*range(10), *range(40, 50)]:
        stream.add(EPOCH + i * 33 * MS, None)
    assert stream.lost == 30


def regular(until: int = 0) -> dict[str, list[int]]:
    return {name: [EPOCH + (i - 20) * 33 * MS + until for i in range(21)] for name in ("table", "wrist", JOINT_STATES)}


@pytest.fixture
def buffer() -> ObservationBuffer:
    buffer = ObservationBuffer(("table", "wrist"), STEP, max_age=0.5)
    fill(buffer, regular())
    return buffer


def test_an_input_that_ceased_is_too_old(buffer):
    fill(buffer, {name: values for name, values in regular(600 * MS).items() if name != "wrist"})
    with pytest.raises(InputError, match=r"^Input 'wrist' is 0\.60 s old; at most 0\.50 s is allowed\.$"):
        buffer.observe(EPOCH + 600 * MS)


def test_a_camera_that_repeats_its_last_frame_is_frozen(buffer):
    fill(buffer, {name: values for name, values in regular(600 * MS).items() if name != "table"})
    for _ in range(7):
        buffer.add_image("table", EPOCH, image(EPOCH))
    with pytest.raises(InputError, match=r"'table' is frozen: .* 0\.60 s while 7 messages came"):
        buffer.observe(EPOCH + 600 * MS)


def test_a_stamp_from_another_clock_is_refused(buffer):
    buffer.add_image("table", EPOCH + 3 * NANOSECONDS, image(0))
    with pytest.raises(InputError, match=r"'table' is stamped 3\.00 s in the future"):
        buffer.observe(EPOCH)


@pytest.mark.parametrize(
    ("names", "positions", "sentence"),
    [
        (JOINT_NAMES[:-1], [0.0] * 5, "lacks the position of gripper"),
        (JOINT_NAMES, [0.0, 0.0, float("nan"), 0.0, 0.0, float("inf")], "no finite position of elbow_flex, gripper"),
        (JOINT_NAMES, [], "lacks the position of shoulder_pan"),
    ],
)
def test_an_unusable_joint_state_is_a_fault_until_a_good_one_comes(buffer, names, positions, sentence):
    buffer.add_joint_state(EPOCH + MS, names, positions)
    with pytest.raises(InputError, match=sentence):
        buffer.observe(EPOCH + MS)
    buffer.add_joint_state(EPOCH + 2 * MS, JOINT_NAMES, joints(EPOCH + 2 * MS))
    assert buffer.observe(EPOCH + 2 * MS).history[-1].state.shape == (6,)


def test_joints_are_matched_by_name(buffer):
    values = {name: float(i) for i, name in enumerate(JOINT_NAMES)}
    buffer.add_joint_state(EPOCH + MS, [*reversed(JOINT_NAMES), "rail"], [*reversed(values.values()), 9.0])
    np.testing.assert_array_equal(buffer.observe(EPOCH + MS).history[-1].state, np.arange(6.0))


@given(st.integers(1, 4), st.integers(0, 32))
def test_a_history_is_made_of_the_samples_a_step_apart(steps, phase):
    buffer = ObservationBuffer(("table", "wrist"), STEP, steps)
    stamps = {name: [EPOCH + i * 33 * MS for i in range(-30, 1)] for name in ("table", "wrist")}
    stamps[JOINT_STATES] = [EPOCH + i * 10 * MS + phase * MS // 4 for i in range(-100, 1)]
    fill(buffer, stamps)
    observation = buffer.observe(EPOCH + 20 * MS)
    assert len(observation.history) == steps
    for k, entry in enumerate(reversed(observation.history)):
        target = observation.t_obs_ns - k * STEP
        for camera in ("table", "wrist"):
            assert entry.images[camera].item() == max(s for s in stamps[camera] if s <= target + 33 * MS // 2)


def test_a_history_that_is_not_there_yet_is_not_made_up():
    buffer = ObservationBuffer((), STEP, 3)
    for i in range(15):
        buffer.add_joint_state(EPOCH + i * 10 * MS, JOINT_NAMES, [0.0] * 6)
    with pytest.raises(InputError, match="'joint_states' has no sample yet"):
        buffer.observe(EPOCH + 150 * MS)


def test_memory_is_bounded(buffer):
    for i in range(10_000):
        buffer.add_image("table", EPOCH + i * 33 * MS, image(0))
    assert len(buffer._streams["table"].samples) < 25


def test_clearing_forgets_samples_and_keeps_counts(buffer):
    buffer.clear()
    with pytest.raises(InputError, match="published nothing"):
        buffer.observe(EPOCH)
    fill(buffer, regular(700 * MS))
    received = {reading.name: reading.received for reading in buffer.observe(EPOCH + 700 * MS).readings}
    assert received == {"table": 42, "wrist": 42, JOINT_STATES: 42}


def test_observing_while_another_thread_adds():
    buffer = ObservationBuffer(("table",), STEP)
    fill(buffer, {"table": [EPOCH], JOINT_STATES: [EPOCH]})
    enough = threading.Event()
    clock, observed = [EPOCH], 0

    def publish() -> None:
        for i in itertools.count(1):
            fill(buffer, {"table": [EPOCH + i * MS], JOINT_STATES: [EPOCH + i * MS]})
            clock[0] = EPOCH + i * MS
            if enough.is_set():
                return

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        while observed < 200:  # the test's time limit ends it if nothing can ever be observed
            with contextlib.suppress(InputError):  # the clock of this thread may be behind
                observation = buffer.observe(clock[0])
                (entry,) = observation.history
                assert entry.images["table"].item() == observation.t_obs_ns
                np.testing.assert_array_equal(entry.state, joints(observation.t_obs_ns))
                observed += 1
    finally:
        enough.set()
        thread.join()
