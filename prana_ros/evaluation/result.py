"""One policy on a series of scenes: the episodes with all that they depend on, and the JSON file that keeps them."""

import dataclasses
import datetime
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prana_ros.evaluation.episode import OUTCOMES, Episode
from prana_ros.evaluation.summary import episode_metrics
from prana_ros.machine import machine
from prana_ros.text import without_nan

EXPERT = "expert"
"""The name under which the scripted expert is evaluated."""
LOCKSTEP, GRAPH = "lockstep", "graph"
DIGITS = 6
"""Significant digits that are kept of an episode's figures."""


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Evaluation:
    """How a policy did.

    Attributes:
        name: what tables and plots call it.
        policy: path, weights' fingerprint, type, number of parameters, device.
        scenes: the name of the scene distribution.
        runner: ``LOCKSTEP`` or ``GRAPH``.
        playback: how chunks were played.
        time_limit: simulated seconds after which an episode was a failure.
        requested: episodes that were asked for; more than there are where the run was broken off.
        episodes: by seed.
        command: that made it.
        seconds: wall time of all episodes; what that of one means depends on ``processes`` and on the machine.
        graph: of a run through the graph: latency, frames, commands, and how the episodes ended in the graph's words.
        machine, date: where and when.
    """

    name: str
    policy: dict[str, Any]
    scenes: str
    runner: str
    playback: dict[str, Any]
    time_limit: float
    requested: int
    episodes: tuple[Episode, ...]
    command: str
    seconds: float
    graph: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=machine)
    date: str = field(default_factory=_now)

    @property
    def successes(self) -> int:
        """How many episodes succeeded."""
        return sum(episode.success for episode in self.episodes)

    @property
    def broken_off(self) -> bool:
        """Whether not all scenes were run."""
        return len(self.episodes) < self.requested

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the scenes, in order."""
        return tuple(episode.seed for episode in self.episodes)


def write_evaluation(evaluation: Evaluation, path: Path, expert: Sequence[Episode] = ()) -> None:
    """Write everything but the strips, a line for each episode, its figures to ``DIGITS`` digits.

    Args:
        expert: the expert's episodes on the same scenes; what is relative to them is then in the summary.
    """
    head = {f.name: getattr(evaluation, f.name) for f in dataclasses.fields(evaluation) if f.name != "episodes"}
    head["first_seed"] = evaluation.seeds[0] if evaluation.episodes else None
    head["summary"] = episode_metrics(evaluation.episodes, expert)
    text = json.dumps(without_nan(head), indent=1).removesuffix("\n}")
    rows = ",\n  ".join(json.dumps(without_nan(_row(episode))) for episode in evaluation.episodes)
    path.write_text(f'{text},\n "episodes": [\n  {rows}\n ]\n}}\n', encoding="utf-8")


def read_evaluation(path: Path) -> Evaluation:
    """Read what :func:`write_evaluation` wrote; the episodes have no strips.

    Raises:
        ValueError: if it is something else, in one sentence.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{path} is not JSON; allowed: a result that training/evaluate.py wrote") from None
    names = [f.name for f in dataclasses.fields(Evaluation)]
    missing = [name for name in names if not isinstance(content, dict) or name not in content]
    if missing:
        raise ValueError(f"{path} lacks {missing[0]!r}; allowed: a result that training/evaluate.py wrote")
    try:
        episodes = tuple(_episode(row) for row in content["episodes"])
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds an episode that is none: {error}") from None
    return Evaluation(**{name: content[name] for name in names if name != "episodes"}, episodes=episodes)


def _row(episode: Episode) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(episode) if f.name != "strip"]
    return {name: _rounded(getattr(episode, name)) for name in names}


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _episode(row: dict[str, Any]) -> Episode:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else math.nan if value is None else value
        for name, value in row.items()
    }
    episode = Episode(**values)
    if episode.outcome not in OUTCOMES:
        raise ValueError(f"its outcome is {episode.outcome!r}; allowed: {', '.join(OUTCOMES)}")
    return episode
