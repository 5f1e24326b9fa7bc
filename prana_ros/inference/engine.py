"""The engine: observations in, timed chunks of joint positions out, each going on from the plan that the arm follows.

One inference is ``infer`` (predict), then, once the chunk was published, ``accept``: only what the arm was given
becomes the running plan, from which the next chunk takes its prefix. Who predicts for several arms at once does it
between ``prepare`` and ``finish``, which ``infer`` consists of.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from prana_ros.inference.observations import Observation
from prana_ros.inference.plan import NANOSECONDS, Plan, Seam, plan_of_chunk, replaced, seam_between
from prana_ros.inference.predictor import Prediction, Predictor, Request
from prana_ros.inference.scheduler import OVERLAP_STEPS, Latency, Scheduler, SchedulingMode
from prana_ros.inference.trial import made_up_history, position_problem

WARM_UP_PREDICTIONS = 3
_SEED_LIMIT = 2**63


class ChunkError(RuntimeError):
    """A chunk must not be sent to the arm; the message is one sentence."""


@dataclass(frozen=True)
class Settings:
    """How plans are made.

    Args:
        mode: continuous or rolling.
        execute_steps: rolling only: steps of a chunk to execute before the overlap; ``None``: all others.
        overlap_steps: steps of the running plan left for the handover; ``None``: 3 (continuous) or 10 (rolling).
        playback_rate: 1 plays actions at the rate of the training data, 0.5 at half of it.
        seed: of the first chunk's noise; each further chunk counts one up.
    """

    mode: SchedulingMode = SchedulingMode.CONTINUOUS
    execute_steps: int | None = None
    overlap_steps: int | None = None
    playback_rate: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Inference:
    """An inference that has begun: what the policy is asked, and what its chunk will be made from."""

    chunk_id: int
    observation: Observation
    started_ns: int
    request: Request


@dataclass(frozen=True)
class Chunk:
    """A predicted chunk: what it was made from, when, and the plan that it proposes."""

    chunk_id: int
    observation: Observation
    started_ns: int
    """When the inference began, on the clock of the stamps."""
    plan: Plan
    prediction: Prediction
    prefix_length: int
    noise_seed: int


class InferenceEngine:
    """Makes chunks with one policy. Used by one thread.

    Raises:
        ValueError: if the settings do not fit the policy's chunk.
    """

    def __init__(self, policy: Predictor, settings: Settings) -> None:
        if not policy.spec.fps:
            raise ValueError("The policy's frames per second are not known; set fps.")
        self.policy = policy
        self.latency = Latency()
        self.change(settings)
        self._chunks = 0
        self._task = ""
        self._running: Plan | None = None

    def change(self, settings: Settings) -> None:
        """Take other settings, between two runs; the measured latencies stay.

        Raises:
            ValueError: if they do not fit the policy's chunk.
        """
        spec = self.policy.spec
        if not settings.playback_rate > 0:
            raise ValueError(f"playback_rate is {settings.playback_rate}, but must be above 0.")
        overlap = OVERLAP_STEPS[settings.mode] if settings.overlap_steps is None else settings.overlap_steps
        self._length = _chunk_length(spec.chunk_size, settings, overlap)
        self.settings = settings
        self.step_ns = round(NANOSECONDS / (float(spec.fps or 0) * settings.playback_rate))
        self.scheduler = Scheduler(settings.mode, self.step_ns, overlap)

    @property
    def running(self) -> Plan | None:
        """The plan that the arm follows, as far as the engine knows; ``None`` before the first chunk of a run."""
        return self._running

    def warm_up(self) -> None:
        """Predict a few times from made-up observations, and throw the actions away.

        The first prediction allocates and compiles; the others estimate the latency until some are measured.
        """
        history = made_up_history(self.policy.spec)
        for repetition in range(WARM_UP_PREDICTIONS):
            prediction = self.policy.predict(history)
            if repetition:
                self.latency.add_warm_up(_duration(prediction))
        self.policy.reset()

    def start(self, task: str) -> None:
        """Begin a run: forget the running plan, keep the measured latencies."""
        self._task = task
        self._running = None
        self.policy.reset()

    def next_start_ns(self) -> int | None:
        """The earliest time (ns) of the next inference; ``None`` for at once."""
        return self.scheduler.start_ns(self._running, self.latency.p95)

    def infer(self, observation: Observation, now: Callable[[], int]) -> Chunk:
        """Predict the chunk that begins at the observation's time.

        Args:
            now: the clock of the stamps, in ns.

        Raises:
            ChunkError: if the policy fails or returns something that is not a chunk of finite joint positions.
        """
        inference = self.prepare(observation, now())
        request = inference.request
        try:
            prediction = self.policy.predict(request.history, request.task, request.prefix, request.seed)
        except Exception as error:
            raise ChunkError(f"The policy failed: {' '.join(str(error).split()) or type(error).__name__}") from error
        return self.finish(inference, prediction)

    def prepare(self, observation: Observation, now_ns: int) -> Inference:
        """What the policy is to be asked for the chunk that begins at the observation's time."""
        self._chunks += 1
        seed = (self.settings.seed + self._chunks - 1) % _SEED_LIMIT
        prefix = self._prefix(observation.t_obs_ns, now_ns)
        return Inference(self._chunks, observation, now_ns, Request(observation.history, self._task, prefix, seed))

    def finish(self, inference: Inference, prediction: Prediction) -> Chunk:
        """The chunk of a prediction.

        Raises:
            ChunkError: if the prediction is not a chunk of finite joint positions.
        """
        request, observation = inference.request, inference.observation
        positions = _checked(prediction.positions)[: self._length].copy()
        length = 0 if request.prefix is None else len(request.prefix)
        if request.prefix is not None:
            positions[:length] = request.prefix
        plan = plan_of_chunk(observation.t_obs_ns, positions, self.step_ns)
        return Chunk(inference.chunk_id, observation, inference.started_ns, plan, prediction, length, request.seed)

    def seam(self, chunk: Chunk, now_ns: int) -> Seam | None:
        """How a chunk that is sent now joins the running plan; ``None`` if there is none.

        Raises:
            ChunkError: if the whole chunk is past by now.
        """
        if chunk.plan.end_ns < now_ns:
            late = (now_ns - chunk.plan.end_ns) / NANOSECONDS
            raise ChunkError(
                f"The chunk came {late:.2f} s after its own end: the inference is slower than its actions."
            )
        return None if self._running is None else seam_between(self._running, chunk.plan, now_ns)

    def accept(self, chunk: Chunk, now_ns: int) -> None:
        """The chunk was sent to the arm now: it becomes the running plan, and its latency counts.

        Raises:
            ValueError: if the whole chunk is past, which ``seam`` finds before it is sent.
        """
        self._running = replaced(self._running, chunk.plan, now_ns)
        self.measure(chunk, now_ns)

    def measure(self, chunk: Chunk, now_ns: int) -> None:
        """Count the latency of a chunk that is ready now, sent or not."""
        self.latency.add((now_ns - chunk.started_ns) / NANOSECONDS)

    def _prefix(self, t_obs_ns: int, now_ns: int) -> np.ndarray | None:
        """Positions (P, 6) that the arm has in the chunk's first steps; ``None`` where the policy takes none."""
        if self._running is None or not self.policy.spec.takes_prefix:
            return None
        length = self.scheduler.prefix_length(self._running, t_obs_ns, now_ns, self.latency.p95, self._length)
        if length == 0:
            return None
        return self._running.at(t_obs_ns + self.step_ns * np.arange(length))


def _chunk_length(chunk_size: int, settings: Settings, overlap_steps: int) -> int:
    """Steps of a chunk that are used."""
    if not 0 <= overlap_steps < chunk_size:
        raise ValueError(
            f"overlap_steps is {overlap_steps}, but must be from 0 to {chunk_size - 1}: a chunk has {chunk_size}."
        )
    if settings.mode is SchedulingMode.CONTINUOUS or settings.execute_steps is None:
        return chunk_size
    if not 1 <= settings.execute_steps <= chunk_size - overlap_steps:
        raise ValueError(
            f"execute_steps is {settings.execute_steps}, but must be from 1 to {chunk_size - overlap_steps}: "
            f"a chunk has {chunk_size} steps, of which {overlap_steps} overlap the next chunk."
        )
    return settings.execute_steps + overlap_steps


def _checked(positions: np.ndarray) -> np.ndarray:
    if problem := position_problem(positions):
        raise ChunkError(f"The policy returned {problem}.")
    return positions


def _duration(prediction: Prediction) -> float:
    return prediction.preprocess_time + prediction.context_time + prediction.denoise_time + prediction.postprocess_time
