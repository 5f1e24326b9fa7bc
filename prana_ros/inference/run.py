"""A run: the policy drives the arm until the time limit, a stop, a cancellation or the loss of an input.

wait for a new observation ──> infer ──> send the plan ──> report ──┐
    ^───────────────────────────────────────────────────────────────┘
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from prana_ros.inference import gate
from prana_ros.inference.engine import Chunk, ChunkError, InferenceEngine
from prana_ros.inference.observations import InputError, Observation, ObservationBuffer
from prana_ros.inference.plan import NANOSECONDS, Plan, Seam

POLL = 0.02
"""Seconds after which a waiting run looks again, should nothing arrive."""
COMPLAINT_PERIOD = 1.0
"""Seconds without a new observation after which a run reports why, and then again."""
LATE_CHUNKS = 3
"""Chunks in a row that came after their own end, with which a run gives up."""
HALT_TIME = 0.2
"""Seconds of the running plan that the arm still follows when a run ends."""
DRY_RUN = "dry run"


class Outcome(Enum):
    """Why a run ended."""

    TIME_LIMIT = "time limit"
    CANCELED = "canceled"
    STOPPED = "stopped"
    INPUT_LOST = "input lost"
    ERROR = "error"


@dataclass(frozen=True)
class RunResult:
    """How a run ended: one sentence, and how many chunks were made."""

    outcome: Outcome
    message: str
    chunks: int


@dataclass(frozen=True)
class ChunkEvent:
    """The outcome of one inference. ``chunk`` is ``None`` where none could be made."""

    time_ns: int
    chunk: Chunk | None
    sent: bool
    reason: str
    """Why it was not sent; empty if it was."""
    seam: Seam | None


class Commander(Protocol):
    """What a run does to the world; called in the run's thread."""

    def send(self, plan: Plan) -> None:
        """Let the arm follow a plan."""

    def heartbeat(self) -> None:
        """The run is alive; called at least every ``POLL`` seconds, except during an inference."""

    def report(self, event: ChunkEvent) -> None:
        """Report the outcome of an inference."""


@dataclass(frozen=True)
class RunSettings:
    """Limits of a run.

    Args:
        input_timeout: wall time (s) without a new observation after which the run ends.
        state_margin: see ``gate.check_state``.
        dry_run: predict, but send nothing.
    """

    input_timeout: float = 2.0
    state_margin: float = 0.1
    dry_run: bool = False


class Run:
    """One run of a policy, executed once, in a thread of its own; ``end`` may be called from any thread."""

    def __init__(
        self,
        engine: InferenceEngine,
        buffer: ObservationBuffer,
        commander: Commander,
        now: Callable[[], int],
        settings: RunSettings,
    ) -> None:
        self._engine = engine
        self._buffer = buffer
        self._commander = commander
        self._now = now
        self._settings = settings
        self._result_of = threading.Event()
        self._restart = threading.Event()
        self._end: tuple[Outcome, str] | None = None
        self._last: Observation | None = None
        self._is_refused = False
        self._late = 0
        self.chunks = 0
        self.started_ns = now()

    @property
    def is_ending(self) -> bool:
        """Whether ``end`` was called."""
        return self._result_of.is_set()

    def end(self, outcome: Outcome, message: str) -> None:
        """End the run as soon as the inference in progress is over; the first call decides the outcome."""
        if self._end is None:
            self._end = (outcome, message)
        self._result_of.set()

    def restart(self) -> None:
        """Forget the running plan and what the policy remembers: the next chunk starts afresh."""
        self._restart.set()

    def execute(self, task: str, time_limit: float) -> RunResult:
        """Drive the arm; return when it is over. ``time_limit`` (s, of the stamps' clock) 0 means none."""
        self._engine.start(task)
        self._buffer.clear()
        self.started_ns = self._now()
        try:
            self._loop(task, time_limit)
        except ChunkError as error:
            self._commander.report(ChunkEvent(self._now(), None, False, str(error), None))
            self.end(Outcome.ERROR, str(error))
        self._come_to_a_halt()
        outcome, message = self._end or (Outcome.ERROR, "The run broke off.")
        return RunResult(outcome, message, self.chunks)

    def _loop(self, task: str, time_limit: float) -> None:
        progress = complained = time.monotonic()
        while not self._result_of.is_set():
            if time_limit and self._now() - self.started_ns >= time_limit * NANOSECONDS:
                return self.end(Outcome.TIME_LIMIT, f"The time limit of {time_limit:g} s is reached.")
            self._commander.heartbeat()
            if self._restart.is_set():
                self._restart.clear()
                self._engine.start(task)
            observation, complaint = self._observe()
            if observation is not None:
                if self._is_due():
                    self._step(observation)
                progress = complained = time.monotonic()
            elif time.monotonic() - progress > self._settings.input_timeout:
                self._complain(complaint)
                return self.end(Outcome.INPUT_LOST, complaint)
            elif time.monotonic() - complained > COMPLAINT_PERIOD:
                self._complain(complaint)
                complained = time.monotonic()
            self._buffer.wait(POLL)

    def _observe(self) -> tuple[Observation | None, str]:
        """An observation that is later than the last one used and shows something new, or why there is none."""
        now_ns = self._now()
        try:
            observation = self._buffer.observe(now_ns)
        except InputError as error:
            self._tell_of_refusal(str(error))
            return None, str(error)
        self._is_refused = False
        if self._last is None:
            return observation, ""
        later = observation.t_obs_ns > self._last.t_obs_ns
        awaited = observation.stale_camera(self._last) if later else observation.awaited_input
        if awaited is None:
            return observation, ""
        stamp_ns = next(reading.stamp_ns for reading in observation.readings if reading.name == awaited)
        age = (now_ns - stamp_ns) / NANOSECONDS
        return None, f"Input {awaited!r} has sent nothing new for {age:.2f} s."

    def _tell_of_refusal(self, sentence: str) -> None:
        """Report at once that an input has become unusable: a slow camera sends again before ``COMPLAINT_PERIOD``."""
        if self._last is not None and not self._is_refused:
            self._complain(sentence)
        self._is_refused = True

    def _is_due(self) -> bool:
        start_ns = self._engine.next_start_ns()
        return start_ns is None or self._now() >= start_ns

    def _step(self, observation: Observation) -> None:
        """Make a chunk and send it.

        Raises:
            ChunkError: if the policy fails, the arm is where the policy was never trained, or inference is too slow.
        """
        if self.chunks == 0:
            self._require_trained_state(observation)
        self._last = observation
        chunk = self._engine.infer(observation, self._now)
        self.chunks += 1
        now_ns = self._now()
        if self._result_of.is_set():
            return
        if self._settings.dry_run:
            self._engine.measure(chunk, now_ns)
            self._commander.report(ChunkEvent(now_ns, chunk, False, DRY_RUN, None))
            return
        try:
            seam = self._engine.seam(chunk, now_ns)
        except ChunkError as error:
            self._be_late(chunk, now_ns, error)
            return
        self._late = 0
        self._commander.send(chunk.plan)
        self._engine.accept(chunk, now_ns)
        self._commander.report(ChunkEvent(now_ns, chunk, True, "", seam))

    def _be_late(self, chunk: Chunk, now_ns: int, error: ChunkError) -> None:
        """One late chunk is a hiccup, after which the driver goes on along the old plan; several are a slow machine."""
        self._engine.measure(chunk, now_ns)
        self._late += 1
        if self._late >= LATE_CHUNKS:
            raise error
        self._commander.report(ChunkEvent(now_ns, chunk, False, str(error), None))

    def _require_trained_state(self, observation: Observation) -> None:
        policy = self._engine.policy
        state = observation.history[-1].state
        if sentences := gate.check_state(policy.spec, state, self._settings.state_margin, policy.calibration):
            raise ChunkError(" ".join(sentences))

    def _complain(self, sentence: str) -> None:
        self._commander.report(ChunkEvent(self._now(), None, False, sentence, None))

    def _come_to_a_halt(self) -> None:
        """Let the arm stop soon on its way, rather than play the rest of the plan; a stopped driver holds already."""
        running, now_ns = self._engine.running, self._now()
        stopped = self._end is not None and self._end[0] is Outcome.STOPPED
        if running is None or stopped or running.end_ns <= now_ns:
            return
        times_ns = now_ns + np.array([0, round(HALT_TIME * NANOSECONDS)], dtype=np.int64)
        self._commander.send(Plan(times_ns, running.at(times_ns)))
