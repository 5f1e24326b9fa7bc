"""A run in its thread, from its first observation to its end, with inputs that come in real time."""

import re
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from support.predictors import RandomWalk, spec

from prana_ros.inference.engine import InferenceEngine, Settings
from prana_ros.inference.observations import JOINT_STATES, ObservationBuffer
from prana_ros.inference.plan import NANOSECONDS, Plan
from prana_ros.inference.run import LATE_CHUNKS, ChunkEvent, Outcome, Run, RunResult, RunSettings
from prana_ros.so101.model import JOINT_NAMES

MS = 1_000_000
PATIENT = RunSettings(input_timeout=20.0)


class Recorder:
    """Notes what a run asks of the world."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.events: list[ChunkEvent] = []
        self.signs_of_life = 0

    def send(self, plan: Plan) -> None:
        self.plans.append(plan)

    def heartbeat(self) -> None:
        self.signs_of_life += 1

    def report(self, event: ChunkEvent) -> None:
        self.events.append(event)


class Bench:
    """A run and its inputs. The stamps' clock goes on by 20 ms with every set of samples, however slow the machine."""

    def __init__(self) -> None:
        self.now_ns = 1_770_000_000 * NANOSECONDS
        self.policy = RandomWalk(spec(chunk_size=16, fps=1.0, cameras=("table",)))
        self.buffer = ObservationBuffer(("table",), NANOSECONDS, max_age=100.0)
        self.recorder = Recorder()
        self.state = np.zeros(6)
        self.publishing = {"table": True, JOINT_STATES: True}
        self.sets_per_frame = 1
        self.joint_delay_ns = 0
        self.run: Run | None = None
        self.result: RunResult | None = None
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._publish)]
        self._threads[0].start()

    def start(self, settings: RunSettings = PATIENT, task: str = "", time_limit: float = 0.0) -> None:
        engine = InferenceEngine(self.policy, Settings())
        self.run = Run(engine, self.buffer, self.recorder, lambda: self.now_ns, settings)

        def execute() -> None:
            self.result = self.run.execute(task, time_limit)

        self._threads.append(threading.Thread(target=execute))
        self._threads[-1].start()

    def until(self, condition: Callable[[], bool], timeout: float = 60.0) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"result {self.result}, {len(self.recorder.events)} events"
            time.sleep(0.005)

    def finish(self) -> RunResult:
        self.until(lambda: self.result is not None)
        return self.result

    def close(self) -> None:
        if self.run is not None:
            self.run.end(Outcome.CANCELED, "test over")
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _publish(self) -> None:
        sets = 0
        while not self._ended.wait(0.003):
            self.now_ns += 20 * MS
            sets += 1
            if self.publishing["table"] and sets % self.sets_per_frame == 0:
                self.buffer.add_image("table", self.now_ns, np.zeros((4, 4, 3), np.uint8))
            if self.publishing[JOINT_STATES]:
                self.buffer.add_joint_state(self.now_ns - self.joint_delay_ns, JOINT_NAMES, self.state)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_a_run_lasts_until_its_time_limit_and_comes_to_a_halt(bench):
    started = bench.now_ns
    bench.start(task="sort", time_limit=4.0)
    result = bench.finish()
    assert result.outcome is Outcome.TIME_LIMIT
    assert bench.now_ns - started >= 4 * NANOSECONDS
    assert result.chunks == len(bench.recorder.events) > 1
    assert set(bench.policy.tasks) == {"sort"}
    *sent, halt = bench.recorder.plans
    assert len(sent) == sum(event.sent for event in bench.recorder.events)
    assert halt.end_ns - halt.start_ns == 200 * MS  # the rest of the plan, up to 16 s, is not played
    assert bench.recorder.signs_of_life >= result.chunks


def test_each_chunk_is_made_of_a_newer_observation_and_goes_on_from_the_one_before(bench):
    bench.start(time_limit=6.0)
    bench.finish()
    chunks = [event.chunk for event in bench.recorder.events]
    stamps = [chunk.observation.t_obs_ns for chunk in chunks]
    assert stamps == sorted(set(stamps))
    assert chunks[0].prefix_length == 0
    assert all(chunk.prefix_length > 0 for chunk in chunks[1:])
    assert bench.recorder.events[0].seam is None
    assert all(np.abs(event.seam.position_step).max() < 1e-9 for event in bench.recorder.events[1:])


def test_joint_states_between_two_images_are_no_reason_for_another_chunk(bench):
    # Joint states that come a little late: the time of the observation goes on with each, the image does not.
    bench.sets_per_frame, bench.joint_delay_ns = 8, 90 * MS
    bench.start(time_limit=8.0)
    bench.finish()
    chunks = [event.chunk for event in bench.recorder.events]
    frames = [reading.stamp_ns for chunk in chunks for reading in chunk.observation.readings if reading.name == "table"]
    assert len(frames) > 5
    assert frames == sorted(set(frames))


@pytest.mark.parametrize(("lost", "kept"), [("table", JOINT_STATES), (JOINT_STATES, "table")])
def test_the_loss_of_an_input_ends_the_run_with_its_name(bench, lost, kept):
    bench.start(RunSettings(input_timeout=1.5))
    bench.until(lambda: bool(bench.recorder.plans))
    bench.publishing[lost] = False
    result = bench.finish()
    assert result.outcome is Outcome.INPUT_LOST
    assert f"'{lost}'" in result.message
    assert kept not in result.message
    assert bench.recorder.events[-1].reason == result.message
    assert bench.recorder.events[-1].chunk is None


def test_an_input_that_never_comes_is_named(bench):
    bench.publishing["table"] = False
    bench.start(RunSettings(input_timeout=1.5))
    assert bench.finish() == RunResult(Outcome.INPUT_LOST, "Input 'table' has published nothing.", 0)
    assert bench.recorder.plans == []


def test_an_input_that_comes_back_is_a_hiccup(bench):
    bench.start()
    bench.until(lambda: bool(bench.recorder.plans))
    bench.publishing["table"] = False
    bench.until(lambda: any(event.chunk is None for event in bench.recorder.events))
    assert "'table' has sent nothing new" in bench.recorder.events[-1].reason
    sent = len(bench.recorder.plans)
    bench.publishing["table"] = True
    bench.until(lambda: len(bench.recorder.plans) > sent)
    assert bench.result is None


def test_cancelling_ends_the_run_and_the_first_reason_counts(bench):
    bench.start()
    bench.until(lambda: bool(bench.recorder.plans))
    bench.run.end(Outcome.CANCELED, "enough")
    bench.run.end(Outcome.STOPPED, "too late")
    assert bench.finish().message == "enough"


def test_a_chunk_that_is_ready_after_the_end_is_not_sent(bench):
    bench.policy.during = lambda: bench.run.end(Outcome.CANCELED, "now")
    bench.start()
    assert bench.finish().chunks == 1
    assert bench.recorder.plans == []


def test_a_stopped_driver_is_sent_nothing_more(bench):
    bench.start()
    bench.until(lambda: bool(bench.recorder.plans))
    bench.run.end(Outcome.STOPPED, "over-temperature")
    assert bench.finish().outcome is Outcome.STOPPED
    assert all(len(plan.times_ns) == 16 for plan in bench.recorder.plans)


def test_a_dry_run_predicts_and_sends_nothing(bench):
    bench.start(RunSettings(input_timeout=20.0, dry_run=True), time_limit=2.0)
    bench.finish()
    assert bench.recorder.plans == []
    assert {(event.sent, event.reason) for event in bench.recorder.events} == {(False, "dry run")}
    assert set(map(type, bench.policy.prefixes)) == {type(None)}  # the arm follows no plan


def test_an_arm_outside_the_training_range_is_not_moved(bench):
    bench.state = np.array([0.0, 0.0, 2.5, 0.0, 0.0, 0.0])
    bench.start()
    result = bench.finish()
    assert result.outcome is Outcome.ERROR
    assert "'elbow_flex' is at 143.2" in result.message
    assert bench.recorder.plans == []


def test_a_policy_that_returns_nan_ends_the_run(bench):
    bench.policy.spoil = lambda positions: positions * np.nan
    bench.start()
    result = bench.finish()
    assert result.outcome is Outcome.ERROR
    assert "not finite" in result.message
    assert bench.recorder.plans == []
    assert bench.recorder.events[-1].reason == result.message


def test_one_late_chunk_is_reported_and_several_end_the_run(bench):
    bench.policy.during = lambda: setattr(bench, "now_ns", bench.now_ns + 20 * NANOSECONDS)
    bench.start()
    result = bench.finish()
    assert result.outcome is Outcome.ERROR
    assert "after its own end" in result.message
    assert result.chunks == LATE_CHUNKS
    assert bench.recorder.plans == []
    assert [event.sent for event in bench.recorder.events] == [False] * LATE_CHUNKS


def test_a_restart_makes_the_next_chunk_start_afresh(bench):
    bench.start()
    bench.until(lambda: len(bench.policy.prefixes) > 2)
    count = len(bench.policy.prefixes)
    bench.run.restart()
    bench.until(lambda: any(prefix is None for prefix in bench.policy.prefixes[count:]))
    assert bench.policy.resets == 2


def test_a_camera_that_slows_to_one_image_a_second_is_named_and_its_frames_count_as_lost(bench):
    """No chunk is made of what is too old; the run goes on with each image that is new."""
    bench.buffer = ObservationBuffer(("table",), NANOSECONDS, max_age=0.5)
    bench.start()
    bench.until(lambda: len(bench.recorder.plans) > 5)
    bench.sets_per_frame = 50
    told = bench.now_ns
    bench.until(lambda: bench.now_ns > told + 10 * NANOSECONDS)
    complaints = [event.reason for event in bench.recorder.events if event.chunk is None]
    assert len(complaints) >= 3
    for reason in complaints:
        assert re.fullmatch(r"Input 'table' is \d\.\d\d s old; at most 0\.50 s is allowed\.", reason), reason
    assert bench.buffer.lost()["table"] > 100
    made = [event.chunk for event in bench.recorder.events if event.chunk is not None]
    assert max(reading.age for chunk in made for reading in chunk.observation.readings) <= 0.5
    assert bench.result is None
