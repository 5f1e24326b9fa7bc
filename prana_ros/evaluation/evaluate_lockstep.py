"""Evaluations in lock-step, with a progress bar, that can be broken off."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tqdm import tqdm

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.evaluated_policy import EvaluatedPolicy
from prana_ros.evaluation.expert_rollout import run_expert
from prana_ros.evaluation.failure_strip import PAGES, STRIPS_A_PAGE
from prana_ros.evaluation.lockstep import run_lockstep
from prana_ros.evaluation.playback import Playback
from prana_ros.evaluation.policy_view import PolicyView
from prana_ros.evaluation.result import LOCKSTEP, Evaluation
from prana_ros.simulation.scene import scene_distribution


@dataclass(frozen=True)
class Trials:
    """What all policies of an evaluation are given.

    Attributes:
        scenes: name of the distribution.
        seeds: of the scenes.
        time_limit: simulated seconds a scene.
        playback: how chunks are played.
        worlds, processes: how many scenes run at once: worlds in each process.
        strip: keep images of the failures.
        command: that asked for it.
    """

    scenes: str
    seeds: Sequence[int]
    time_limit: float = 15.0
    playback: Playback = field(default_factory=Playback)
    worlds: int = 8
    processes: int = 1
    strip: bool = False
    command: str = ""


def require_fit(candidate: EvaluatedPolicy, trials: Trials) -> dict[str, Any]:
    """Return what a result says of the policy; before the first episode, refuse one that cannot be evaluated.

    Raises:
        ValueError: one sentence.
    """
    if candidate.is_expert:
        return candidate.describe(None)
    policy = candidate.load()
    trials.playback.require_fit(policy.spec)
    PolicyView(policy.spec)
    return candidate.describe(policy)


def evaluate_lockstep(candidate: EvaluatedPolicy, trials: Trials) -> Evaluation:
    """Run all scenes; what was run until Ctrl-C, where that came, is the result too.

    Raises:
        ValueError: if the policy or an argument does not fit; one sentence.
        RuntimeError: if a process broke off.
    """
    description = require_fit(candidate, trials)
    distribution = scene_distribution(trials.scenes)
    if candidate.is_expert:
        runs = run_expert(trials.seeds, distribution, processes=trials.processes)
    else:
        runs = run_lockstep(
            candidate.load,
            trials.seeds,
            distribution,
            trials.playback,
            worlds=trials.worlds,
            processes=trials.processes,
            time_limit=trials.time_limit,
            strip=trials.strip,
        )
    start = time.monotonic()
    episodes = watched(runs, len(trials.seeds), candidate.name)
    return Evaluation(
        name=candidate.name,
        policy=description,
        scenes=trials.scenes,
        runner=LOCKSTEP,
        playback={} if candidate.is_expert else asdict(trials.playback),
        time_limit=trials.time_limit,
        requested=len(trials.seeds),
        episodes=episodes,
        command=trials.command,
        seconds=time.monotonic() - start,
    )


def watched(runs: Iterator[Episode], total: int, name: str) -> tuple[Episode, ...]:
    """Return the episodes by seed, under a progress bar with their successes; fewer after Ctrl-C.

    Only so many strips of failures are kept as pages will show.
    """
    episodes: list[Episode] = []
    filmed = 0
    with tqdm(total=total, desc=name, unit="episode") as bar:
        try:
            for episode in runs:
                shown = not episode.success and filmed < PAGES * STRIPS_A_PAGE
                filmed += shown
                episodes.append(episode if shown else replace(episode, strip=()))
                bar.set_postfix(success=sum(each.success for each in episodes), refresh=False)
                bar.update()
        except KeyboardInterrupt:
            bar.set_description_str(f"{name}, broken off")
    return tuple(sorted(episodes, key=lambda episode: episode.seed))
