"""The scripted expert on the scenes of an evaluation: what path length and jerk of a policy are compared with."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.twin_episode import TwinEpisode
from prana_ros.simulation.demonstration_style import PLAIN, draw_style
from prana_ros.simulation.driven_world import TICKS
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import SceneDistribution, sample_scene
from prana_ros.simulation.world import World
from prana_ros.workers import share_out


def run_expert(
    seeds: Sequence[int], distribution: SceneDistribution, *, plain: bool = False, processes: int = 1
) -> Iterator[Episode]:
    """One episode of the expert per seed, without the noise of demonstrations; yields each as it ends, ``chunks`` 0.

    Args:
        plain: always in the same style, not in one of people's.
        processes: see :func:`~prana_ros.evaluation.lockstep.run_lockstep`.

    Raises:
        ValueError: if there is no seed, or no process.
        RuntimeError: if a process broke off.
    """
    seeds = list(seeds)
    for name, value in (("seeds", len(seeds)), ("processes", processes)):
        if value < 1:
            raise ValueError(f"the number of {name} is {value}; it must be at least 1")
    work = partial(_run_share, distribution, plain)
    return work(seeds) if processes == 1 else share_out(work, seeds, processes, preload=__name__)


def _run_share(distribution: SceneDistribution, plain: bool, seeds: Sequence[int]) -> Iterator[Episode]:
    with World(sample_scene(distribution, seeds[0])) as world:
        for seed in seeds:
            scene = sample_scene(distribution, seed)
            expert = Expert(scene, PLAIN if plain else draw_style(np.random.default_rng((seed, 2))))
            trial = TwinEpisode(world, scene, expert.duration)
            while not trial.over:
                trial.driven.motion.aim(expert.target(trial.tick / TICKS))
                trial.step()
            yield trial.episode()
