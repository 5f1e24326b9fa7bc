"""A series of episodes: reset, run, note the outcome, again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

SUCCESS = "success"
TIMEOUT = "timeout"
EXIT_BROKEN_OFF = 3
"""Exit code of the process of a series in which an episode did not run to its end."""


def broken_off(outcomes: Iterable[str]) -> bool:
    """Return whether an episode did not run to its end: it was aborted, or the arm was stopped."""
    return any(outcome.startswith(("aborted", "stopped")) for outcome in outcomes)


class SeriesState(Enum):
    """What the series is doing."""

    IDLE = "idle"
    RESETTING = "resetting"
    RUNNING = "running"
    DONE = "done"


class EnvironmentFailed(RuntimeError):
    """The scene could not be reset or the policy could not run; the message is one sentence."""


class SeriesInterrupted(Exception):
    """The series was told to end before it was over."""


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode ended. After one that is ``final`` no other may begin: somebody has to look at the arm first."""

    outcome: str
    final: bool = False


class Environment(Protocol):
    """Where episodes take place. Both calls block, and raise :class:`SeriesInterrupted` when the series is to end."""

    def reset(self, episode: int) -> None:
        """Make everything ready for the episode, counted from 0, or raise :class:`EnvironmentFailed`."""

    def run(self, episode: int) -> EpisodeResult:
        """Let the policy drive the arm, or raise :class:`EnvironmentFailed`."""


@dataclass
class Series:
    """Runs the episodes one after the other, in the thread that calls :meth:`run`.

    ``on_change`` is called in that thread after every change of the state. Reading the fields from other threads is
    safe: each is replaced, never changed in place.
    """

    environment: Environment
    episodes: int
    on_change: Callable[[], None] = lambda: None
    state: SeriesState = SeriesState.IDLE
    episode: int = 0
    outcomes: tuple[str, ...] = ()

    def run(self) -> None:
        """Run the series until it is over or interrupted."""
        for episode in range(self.episodes):
            self.episode = episode
            ending = self._run_episode(episode)
            self.outcomes = (*self.outcomes, ending.outcome)
            if ending.final:
                break
        self._change(SeriesState.DONE)

    def _run_episode(self, episode: int) -> EpisodeResult:
        try:
            self._change(SeriesState.RESETTING)
            self.environment.reset(episode)
        except EnvironmentFailed as error:
            return EpisodeResult(f"aborted: {error}", final=True)
        except SeriesInterrupted:
            return EpisodeResult("aborted: interrupted", final=True)
        try:
            self._change(SeriesState.RUNNING)
            return self.environment.run(episode)
        except EnvironmentFailed as error:
            return EpisodeResult(f"aborted: {error}")
        except SeriesInterrupted:
            return EpisodeResult("aborted: interrupted", final=True)

    def _change(self, state: SeriesState) -> None:
        self.state = state
        self.on_change()
