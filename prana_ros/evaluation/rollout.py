"""One episode of a policy: observe, ask for a chunk, play it, by the schedule of the playback."""

import logging
from collections.abc import Generator

import numpy as np

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.playback import Asynchronous, Playback, Playing, Schedule, Synchronous
from prana_ros.evaluation.policy_view import PolicyView
from prana_ros.evaluation.twin_episode import TwinEpisode
from prana_ros.inference.engine import Chunk, ChunkError, InferenceEngine, Settings
from prana_ros.inference.observations import JOINT_STATES, Observation
from prana_ros.inference.plan import Seam
from prana_ros.inference.predictor import PolicyInput, Prediction, Predictor, Request
from prana_ros.simulation.driven_world import TICKS
from prana_ros.simulation.task import TASK

logger = logging.getLogger(__name__)


class Rollout:
    """A policy that moves the arm of a trial. ``run`` may be called once."""

    def __init__(self, trial: TwinEpisode, policy: Predictor, view: PolicyView, playback: Playback) -> None:
        self._trial, self._view = trial, view
        self._schedule = Schedule.of(playback, policy.spec)
        self._engine = InferenceEngine(policy, Settings(seed=noise_seed(trial.world.scene.seed)))
        self._engine.start(TASK)
        motion, latency = trial.driven.motion, self._schedule.latency / TICKS
        self._arm: Playing
        if playback.asynchronous:
            self._arm = Asynchronous(self._engine, motion, latency)
        else:
            self._arm = Synchronous(motion, latency)
        self._frames: dict[int, PolicyInput] = {}
        self._chunk: Chunk | None = None
        """On its way."""
        self._chunks = 0
        self._seams: list[Seam] = []

    def run(self) -> Generator[Request, Prediction, Episode]:
        """The whole episode; takes the prediction of each request that it yields.

        An episode is a ``stop`` where the policy predicts what cannot be played, as in the running graph.
        """
        outcome = ""
        try:
            yield from self._ticks()
        except ChunkError as error:
            outcome = "stop"
            logger.warning("scene %d: %s", self._trial.world.scene.seed, error)
        return self._trial.episode(outcome, self._chunks, self._seams)

    def _ticks(self) -> Generator[Request, Prediction, None]:
        trial, schedule = self._trial, self._schedule
        while not trial.over:
            if schedule.needs_frame(trial.tick):
                self._frames[trial.tick] = self._view.look(trial.world)
            if self._chunk is not None and schedule.arrives(trial.tick):
                self._take_over(self._chunk)
            if schedule.observes(trial.tick):
                self._chunk = yield from self._infer()
                if schedule.latency == 0:
                    self._take_over(self._chunk)
            trial.step()

    def _infer(self) -> Generator[Request, Prediction, Chunk]:
        now_ns = self._trial.driven.now_ns
        self._arm.observe(now_ns)
        ticks = self._schedule.frames(self._trial.tick)
        self._frames = {tick: frame for tick, frame in self._frames.items() if tick >= ticks[0]}
        observation = Observation(now_ns, JOINT_STATES, tuple(self._frames[tick] for tick in ticks), ())
        inference = self._engine.prepare(observation, now_ns)
        return self._engine.finish(inference, (yield inference.request))

    def _take_over(self, chunk: Chunk) -> None:
        seam = self._arm.take_over(chunk, self._trial.driven.now_ns)
        self._chunk = None
        self._chunks += 1
        if seam is not None:
            self._seams.append(seam)


def noise_seed(scene_seed: int) -> int:
    """Of the first chunk's noise; the engine counts up from it. Far apart for scenes that are near."""
    return int(np.random.SeedSequence(scene_seed).generate_state(1, np.uint64)[0] >> np.uint64(1))
