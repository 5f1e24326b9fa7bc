"""One episode on the twin, tick by tick: the scene, its end, and the record that becomes an ``Episode``."""

from collections.abc import Sequence

import numpy as np

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.image_strip import evenly, join_images
from prana_ros.evaluation.smoothness import jerk, path_length
from prana_ros.inference.plan import Seam
from prana_ros.simulation.driven_world import TICKS, WATCHED, DrivenWorld
from prana_ros.simulation.scene import Scene
from prana_ros.simulation.world import CAMERAS, Snapshot, World


class TwinEpisode:
    """Lays out ``scene`` in ``world``, lets it settle, and then goes on by ticks until success or the time limit."""

    def __init__(self, world: World, scene: Scene, time_limit: float, *, strip: bool = False) -> None:
        self.driven = DrivenWorld(world, scene)
        self.world = world
        self._last_tick = round(time_limit * TICKS)
        self._positions = [world.position]
        self._moments: list[Snapshot] | None = [world.snapshot()] if strip else None

    @property
    def tick(self) -> int:
        """Ticks since the beginning."""
        return self.driven.tick

    @property
    def over(self) -> bool:
        """Whether the task is done or time is up."""
        return self.driven.monitor.success or self.tick >= self._last_tick

    def step(self) -> None:
        """Let the arm go on for one tick along the plan of ``driven.motion``."""
        self.driven.step()
        self._positions.append(self.world.position)
        if self._moments is not None and self.tick % WATCHED == 0:
            self._moments.append(self.world.snapshot())

    def episode(self, outcome: str = "", chunks: int = 0, seams: Sequence[Seam] = ()) -> Episode:
        """What is kept of it; ``outcome``, where the task's own does not tell."""
        times = np.arange(len(self._positions)) / TICKS
        return Episode(
            seed=self.world.scene.seed,
            outcome=outcome or self.driven.monitor.outcome(),
            duration=self.driven.elapsed,
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
