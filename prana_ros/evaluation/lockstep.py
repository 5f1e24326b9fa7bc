"""Closed-loop evaluation without ROS and without waiting: simulated time stands still while the policy thinks.

Several worlds share a policy: each goes on by itself until it needs a chunk, and when all wait for one they get theirs
from one forward pass. A world whose episode is over begins with the next scene at once. Chunks reach the servos through
the driver's own ``Motion``: sampler, limits and grip guard.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.playback import SYNCHRONOUS, Playback
from prana_ros.evaluation.policy_view import PolicyView
from prana_ros.evaluation.rollout import Rollout
from prana_ros.evaluation.twin_episode import TwinEpisode
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.inference.predictor import Prediction, Request
from prana_ros.simulation.driven_world import TICKS
from prana_ros.simulation.scene import SceneDistribution, sample_scene
from prana_ros.simulation.world import World
from prana_ros.workers import share_out


@dataclass(frozen=True)
class Conditions:
    """What all episodes of an evaluation have in common; see :func:`run_lockstep`."""

    distribution: SceneDistribution
    playback: Playback
    worlds: int
    time_limit: float
    strip: bool


def run_lockstep(
    load: Callable[[], LoadedPolicy],
    seeds: Sequence[int],
    distribution: SceneDistribution,
    playback: Playback = SYNCHRONOUS,
    *,
    worlds: int = 8,
    processes: int = 1,
    time_limit: float = 15.0,
    strip: bool = False,
) -> Iterator[Episode]:
    """Run one episode per seed; yields each as it ends. The same arguments give the same episodes.

    Args:
        load: called once in each process; must be picklable if there are several.
        seeds: of the scenes; those below ``TRAINING_SEEDS`` were never seen in training. Process p of n runs seeds p,
            p + n, p + 2n, …
        distribution: the scenes.
        playback: how chunks are played.
        worlds: that share a forward pass, in each process. Chunks are what they would be in a world alone but for
            rounding, where noise is drawn for each world from its own seed (see ``LoadedPolicy.predict_many``).
        processes: one thread each; with one, everything happens in the caller's own.
        time_limit: simulated seconds after which an episode is a failure.
        strip: keep images of each episode.

    Raises:
        ValueError: if an argument cannot be meant, or the policy does not fit the twin or the playback; one sentence.
        RuntimeError: if a process broke off.
    """
    seeds = list(seeds)
    for name, value in (("seeds", len(seeds)), ("worlds", worlds), ("processes", processes)):
        if value < 1:
            raise ValueError(f"the number of {name} is {value}; it must be at least 1")
    if not 1 / TICKS <= time_limit < math.inf:
        raise ValueError(f"the time limit is {time_limit} s; it must be at least {1 / TICKS} s, and finite")
    conditions = Conditions(distribution, playback, worlds, time_limit, strip)
    work = partial(_run_share, load, conditions)
    return work(seeds) if processes == 1 else share_out(work, seeds, processes, preload=__name__)


def _run_share(load: Callable[[], LoadedPolicy], conditions: Conditions, seeds: Sequence[int]) -> Iterator[Episode]:
    """The episodes of one process."""
    policy = load()
    conditions.playback.require_fit(policy.spec)
    view = PolicyView(policy.spec)
    waiting = iter(seeds)
    with ExitStack() as stack:
        places: list[_Place] = []
        for seed in islice(waiting, conditions.worlds):
            world = World(sample_scene(conditions.distribution, seed), view.camera_size)
            places.append(_Place(stack.enter_context(world), policy, view, conditions, seed))
        while places:
            predictions = policy.predict_many([place.request for place in places])
            for place, prediction in zip(list(places), predictions, strict=True):
                episode = place.go_on(prediction)
                if episode is None:
                    continue
                yield episode
                following = next(waiting, None)
                if following is None:
                    places.remove(place)
                else:
                    place.begin(following)


class _Place:
    """A world, and the episode that is under way in it."""

    request: Request
    """What the episode waits for."""

    def __init__(self, world: World, policy: LoadedPolicy, view: PolicyView, conditions: Conditions, seed: int) -> None:
        self._world, self._policy, self._view, self._conditions = world, policy, view, conditions
        self.begin(seed)

    def begin(self, seed: int) -> None:
        """Go on to the first request of a scene's episode."""
        conditions = self._conditions
        scene = sample_scene(conditions.distribution, seed)
        trial = TwinEpisode(self._world, scene, conditions.time_limit, strip=conditions.strip)
        self._episode = Rollout(trial, self._policy, self._view, conditions.playback).run()
        self.request = next(self._episode)

    def go_on(self, prediction: Prediction) -> Episode | None:
        """Go on to the next request, or to the end."""
        try:
            self.request = self._episode.send(prediction)
        except StopIteration as end:
            return end.value
        return None
