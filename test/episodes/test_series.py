import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.episodes.series import EnvironmentFailed, EpisodeResult, Series, SeriesInterrupted, SeriesState


class ScriptedStage:
    """Ends each episode as the script says; an exception in the script is raised, by the reset if it is a pair."""

    def __init__(self, script):
        self.script = script
        self.calls = []

    def reset(self, episode):
        self.calls.append(("reset", episode))
        step = self.script[episode]
        if isinstance(step, tuple):
            raise step[1]

    def run(self, episode):
        self.calls.append(("run", episode))
        step = self.script[episode]
        if isinstance(step, Exception):
            raise step
        return step


def run(script):
    seen = []
    stage = ScriptedStage(script)
    series = Series(stage, len(script))
    series.on_change = lambda: seen.append((series.state, series.episode, series.outcomes))
    series.run()
    return series, stage, seen


@given(st.lists(st.sampled_from(["success", "timeout"]), min_size=1, max_size=8))
def test_every_episode_is_reset_then_run_and_its_outcome_kept_in_order(outcomes):
    series, stage, seen = run([EpisodeResult(outcome) for outcome in outcomes])
    assert series.outcomes == tuple(outcomes)
    assert stage.calls == [(what, number) for number in range(len(outcomes)) for what in ("reset", "run")]
    assert seen[-1] == (SeriesState.DONE, len(outcomes) - 1, tuple(outcomes))
    assert [state for state, _, _ in seen[:-1]] == [SeriesState.RESETTING, SeriesState.RUNNING] * len(outcomes)


def test_an_aborted_episode_is_followed_by_the_next():
    series, _, _ = run([EnvironmentFailed("the table camera is frozen"), EpisodeResult("success")])
    assert series.outcomes == ("aborted: the table camera is frozen", "success")


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (EpisodeResult("stopped: overload of gripper", final=True), "stopped: overload of gripper"),
        ((None, EnvironmentFailed("the scene was not reset: no")), "aborted: the scene was not reset: no"),
        ((None, SeriesInterrupted()), "aborted: interrupted"),
        (SeriesInterrupted(), "aborted: interrupted"),
    ],
)
def test_nothing_is_run_after_a_stop_a_failed_reset_or_an_interruption(step, outcome):
    series, stage, seen = run([EpisodeResult("success"), step, EpisodeResult("success")])
    assert series.outcomes == ("success", outcome)
    assert ("reset", 2) not in stage.calls
    assert seen[-1][0] is SeriesState.DONE


def test_a_failed_reset_does_not_start_the_policy():
    _, stage, _ = run([(None, EnvironmentFailed("the arm did not go to rest"))])
    assert stage.calls == [("reset", 0)]
