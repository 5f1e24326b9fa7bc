"""How chunks are played: when they are made of what, and when and how each takes over from the one before.

synchronous     observe ─ hold for the latency ─ play execute_steps ─┐     the chunk begins when it arrives
                   └─────────────────────────────────────────────────┘

asynchronous    observe ─ latency: the arm goes on ─ take over ─ next frame ─┐     the chunk began when it was observed
                   └─────────────────────────────────────────────────────────┘
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from prana_ros.inference.engine import Chunk, InferenceEngine
from prana_ros.inference.plan import NANOSECONDS, Plan, Seam, replaced, seam_between
from prana_ros.inference.spec import PolicySpec
from prana_ros.simulation.driven_world import TICKS
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.motion import Motion
from prana_ros.so101.trajectory import Trajectory

_OWNER = "evaluation"


@dataclass(frozen=True)
class Playback:
    """How chunks are played.

    Attributes:
        execute_steps: synchronous only: steps of each chunk that are executed before the next observation is acted
            upon.
        asynchronous: False: observe, hold for ``latency``, play ``execute_steps``, and again. True: as the running
            graph in continuous mode, by the same engine: chunks keep the times of their observations, the next
            inference begins with the first frame after the last chunk arrived (frames come at the policy's own rate;
            the graph's cameras may be faster), and the arm goes on meanwhile.
        latency: simulated seconds from an observation to the arrival of its chunk, acted upon in the driver's next
            cycle of 10 ms; 0: at once.

    Raises:
        ValueError: if a value cannot be meant; one sentence.
    """

    execute_steps: int = 8
    asynchronous: bool = False
    latency: float = 0.0

    def __post_init__(self) -> None:
        if self.execute_steps < 1:
            raise ValueError(f"execute_steps is {self.execute_steps}; it must be at least 1")
        if not (math.isfinite(self.latency) and self.latency >= 0):
            raise ValueError(f"the latency is {self.latency} s; it must be 0 or more")

    @property
    def latency_ticks(self) -> int:
        """Whole ticks until a chunk arrives."""
        return math.ceil(round(self.latency * TICKS, 6))

    def require_fit(self, spec: PolicySpec) -> None:
        """Refuse a policy whose chunks cannot be played so.

        Raises:
            ValueError: one sentence.
        """
        if not spec.fps or TICKS % spec.fps:
            raise ValueError(f"the policy's fps is {spec.fps}; it must divide {TICKS}, the driver's rate")
        if not self.asynchronous and self.execute_steps > spec.chunk_size:
            raise ValueError(
                f"execute_steps is {self.execute_steps}; it must be at most {spec.chunk_size}, the policy's chunk"
            )
        lasts = (spec.chunk_size - 1) / spec.fps
        if self.asynchronous and self.latency_ticks / TICKS > lasts:
            raise ValueError(
                f"the latency is {self.latency:g} s; it must be at most {lasts:g} s, after which a chunk is past"
            )


SYNCHRONOUS = Playback()
"""Without latency, eight steps of each chunk."""


@dataclass(frozen=True)
class Schedule:
    """When what happens, in ticks since the start of an episode.

    Attributes:
        period: between two frames of the policy.
        cycle: between two observations that are acted upon.
        latency: from such an observation to the arrival of its chunk; at most a cycle.
        observation_steps: frames that an observation consists of.
    """

    period: int
    cycle: int
    latency: int
    observation_steps: int

    @classmethod
    def of(cls, playback: Playback, spec: PolicySpec) -> "Schedule":
        """That of a playback that fits the policy."""
        period, latency = round(TICKS / (spec.fps or 1)), playback.latency_ticks
        if playback.asynchronous:
            cycle = max(1, math.ceil(latency / period)) * period
        else:
            cycle = latency + playback.execute_steps * period
        return cls(period, cycle, latency, spec.observation_steps)

    def observes(self, tick: int) -> bool:
        """Whether an inference begins."""
        return tick % self.cycle == 0

    def arrives(self, tick: int) -> bool:
        """Whether the chunk of an earlier observation arrives."""
        return tick >= self.latency and (tick - self.latency) % self.cycle == 0

    def frames(self, tick: int) -> list[int]:
        """Ticks of the frames that an observation consists of, the newest last; before the start there is the first."""
        return [max(tick - age * self.period, 0) for age in reversed(range(self.observation_steps))]

    def needs_frame(self, tick: int) -> bool:
        """Whether a frame of this tick is part of an observation."""
        return any((tick + age * self.period) % self.cycle == 0 for age in range(self.observation_steps))


class Playing(Protocol):
    """How an arm plays chunks."""

    def observe(self, now_ns: int) -> None:
        """An inference begins."""

    def take_over(self, chunk: Chunk, now_ns: int) -> Seam | None:
        """A chunk arrives. Returns how it joins what the arm would have done otherwise; ``None`` for the first.

        Raises:
            ChunkError: if it cannot be played.
        """


class Asynchronous:
    """As the running graph does it: the engine keeps the plan, the motion is the driver's."""

    def __init__(self, engine: InferenceEngine, motion: Motion, latency: float) -> None:
        self._motion = motion
        self._engine = engine
        self._engine.latency.add_warm_up(latency)

    def observe(self, now_ns: int) -> None:
        """The arm goes on."""

    def take_over(self, chunk: Chunk, now_ns: int) -> Seam | None:
        seam = self._engine.seam(chunk, now_ns)
        _play(self._motion, chunk.plan, now_ns)
        self._engine.accept(chunk, now_ns)
        return seam


class Synchronous:
    """Each chunk begins when it arrives.

    A seam is the new chunk against the plan that it replaces, at the time of its first action: the old chunk as it
    would have gone on; its last action, held, where it was played to its end; the hold, where there is a latency.
    """

    def __init__(self, motion: Motion, latency: float) -> None:
        self._motion = motion
        self._waits = latency > 0
        self._running: Plan | None = None

    def observe(self, now_ns: int) -> None:
        """The arm holds until the chunk is there."""
        if self._waits:
            held = self._motion.planned(now_ns)
            self._motion.aim(held)
            if self._running is not None:
                self._running = Plan(np.array([now_ns]), held[None])

    def take_over(self, chunk: Chunk, now_ns: int) -> Seam | None:
        delay = now_ns - chunk.observation.t_obs_ns
        plan = Plan(chunk.plan.times_ns + delay, chunk.plan.positions)
        seam = None if self._running is None else seam_between(self._running, plan, now_ns)
        _play(self._motion, plan, now_ns)
        self._running = replaced(self._running, plan, now_ns)
        return seam


def _play(motion: Motion, plan: Plan, now_ns: int) -> None:
    times_s = (plan.times_ns - plan.start_ns) / NANOSECONDS
    motion.accept(Trajectory(_OWNER, plan.start_ns, JOINT_NAMES, times_s, plan.positions), now_ns)
