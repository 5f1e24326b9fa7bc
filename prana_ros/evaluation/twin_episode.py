"""One scene in a world, tick by tick, whoever moves the arm; what an episode is told by is noted on the way."""

from collections.abc import Sequence

import numpy as np

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.image_strip import evenly, join_images
from prana_ros.evaluation.playback import TICK_NS, TICKS
from prana_ros.evaluation.restraint import Restraint
from prana_ros.evaluation.smoothness import jerk, path_length
from prana_ros.inference.plan import NANOSECONDS, Seam
from prana_ros.simulation.demonstrations import SETTLE_TIME
from prana_ros.simulation.scene import Scene
from prana_ros.simulation.task import TaskMonitor
from prana_ros.simulation.world import CAMERAS, Snapshot, World

WATCHED = 10
"""Ticks between two looks at the task, and between two moments of which the strip could show an image."""


class TwinEpisode:
    """Lays out ``scene`` in ``world``, lets it settle, and then goes on by ticks until success or the time limit."""

    def __init__(self, world: World, scene: Scene, time_limit: float, *, strip: bool = False) -> None:
        world.reset(scene)
        world.step(round(SETTLE_TIME / world.timestep))
        self.world = world
        self.tick = 0
        self._last_tick = round(time_limit * TICKS)
        self._steps = round(1 / (TICKS * world.timestep))
        self._begin = world.time
        self._monitor = TaskMonitor(world)
        self._restraint = Restraint(world)
        self._positions = [world.position]
        self._moments: list[Snapshot] | None = [world.snapshot()] if strip else None

    @property
    def now_ns(self) -> int:
        """The time of this tick, on a clock that does not start at zero, which means "now" in a trajectory."""
        return NANOSECONDS + self.tick * TICK_NS

    @property
    def over(self) -> bool:
        """Whether the task is done or time is up."""
        return self._monitor.success or self.tick >= self._last_tick

    def step(self, planned: np.ndarray) -> None:
        """Let the arm follow the planned position (6,) rad for one tick, as the driver lets it."""
        self.world.goal = self._restraint.goal(planned)
        self.world.step(self._steps)
        self.tick += 1
        self._positions.append(self.world.position)
        if self.tick % WATCHED == 0:
            self._monitor.update()
            if self._moments is not None:
                self._moments.append(self.world.snapshot())

    def episode(self, outcome: str = "", chunks: int = 0, seams: Sequence[Seam] = ()) -> Episode:
        """What is kept of it; ``outcome``, where the task's own does not tell."""
        times = np.arange(len(self._positions)) / TICKS
        return Episode(
            seed=self.world.scene.seed,
            outcome=outcome or self._monitor.outcome(),
            duration=self.world.time - self._begin,
            chunks=chunks,
            path_length=path_length(times, self._positions),
            jerk=jerk(times, self._positions),
            seam_steps=tuple(float(np.abs(seam.position_step).max()) for seam in seams),
            seam_velocity_steps=tuple(float(np.abs(seam.velocity_step).max()) for seam in seams),
            strip=self._strip(),
        )

    def _strip(self) -> tuple[np.ndarray, ...]:
        if self._moments is None:
            return ()
        moments = [self._moments[index] for index in evenly(len(self._moments))]
        return tuple(join_images([self.world.render(camera, moment) for camera in CAMERAS]) for moment in moments)
