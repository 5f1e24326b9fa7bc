"""Lock-step evaluation, driven by policies whose outcome is known."""

import numpy as np
import pytest

from prana_ros.simulation.expert import Expert
from prana_ros.simulation.lockstep import Observed, run_lockstep
from prana_ros.simulation.scene import STANDARD, sample_scene
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.figures import REST_POSE

SIZE = (48, 36)


class ScriptedPolicy:
    """The expert as a chunk policy: it counts its calls to know the time."""

    def __init__(self, seeds: list[int], fps: int, execute_steps: int, horizon: int = 16) -> None:
        self._experts = [Expert(sample_scene(STANDARD, seed)) for seed in seeds]
        self._fps, self._execute, self._horizon = fps, execute_steps, horizon
        self.calls = 0
        self.seen: list[list[Observed]] = []
        self._expert: Expert | None = None
        self._frame = 0

    def __call__(self, history):
        self.calls += 1
        self.seen.append(list(history))
        if self._expert is None or self._frame / self._fps > self._expert.duration + 0.3:
            self._expert, self._frame = self._experts.pop(0), 0
        times = (self._frame + np.arange(self._horizon)) / self._fps
        self._frame += self._execute
        return np.array([self._expert.target(time) for time in times])


@pytest.mark.parametrize(("execute_steps", "horizon"), [(8, 16), (1, 2), (16, 16)])
def test_the_experts_own_chunks_succeed(execute_steps, horizon):
    policy = ScriptedPolicy([5], 10, execute_steps, horizon)
    (episode,) = run_lockstep(policy, [5], STANDARD, execute_steps=execute_steps, camera_size=SIZE)
    assert episode.outcome == "success"
    assert episode.seed == 5
    assert episode.chunks == policy.calls == int(np.ceil(round(episode.duration * 10, 6) / execute_steps))


def test_a_policy_that_stays_home_misses_the_tool():
    episodes = list(
        run_lockstep(lambda _: np.tile(REST_POSE, (16, 1)), [1, 2], STANDARD, time_limit=1.0, camera_size=SIZE)
    )
    assert [(episode.seed, episode.outcome) for episode in episodes] == [(1, "missed"), (2, "missed")]
    assert all(episode.duration == pytest.approx(1.0) for episode in episodes)


def test_observations_are_the_newest_ones_at_the_policys_rate():
    policy = ScriptedPolicy([3], 10, 4, 8)
    list(run_lockstep(policy, [3], STANDARD, execute_steps=4, observation_steps=3, time_limit=2.0, camera_size=SIZE))
    assert len(policy.seen) == 5
    assert all(len(history) == 3 for history in policy.seen)
    first = policy.seen[0]
    assert first[0] is first[2], "at the start there is nothing older"
    for history in policy.seen[1:]:
        states = [seen.state for seen in history]
        assert not np.array_equal(states[0], states[1])
        assert not np.array_equal(states[1], states[2])
        assert all(set(seen.images) == set(CAMERAS) for seen in history)
        assert history[-1].images["table"].shape == (36, 48, 3)


def test_goals_run_straight_between_points_at_the_drivers_rate(monkeypatch):
    goals = []
    original = World.goal.fset
    monkeypatch.setattr(World, "goal", World.goal.setter(lambda self, goal: (goals.append(goal), original(self, goal))))
    points = np.tile(REST_POSE, (6, 1)) + np.outer([0, 1, 0, 2, 0, 0], np.eye(6)[0]) * 0.1
    list(run_lockstep(lambda _: points, [0], STANDARD, execute_steps=5, time_limit=0.5, camera_size=SIZE))
    expected = np.interp(np.arange(50) / 100, np.arange(6) / 10, points[:, 0])
    np.testing.assert_allclose(np.array(goals)[:, 0], expected, atol=1e-9)


def test_runs_repeat_exactly():
    runs = [list(run_lockstep(ScriptedPolicy([9], 10, 8), [9], STANDARD, camera_size=SIZE)) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("arguments", "message"), [({"fps": 30}, "30; it must divide 100"), ({"execute_steps": 0}, "is 0")]
)
def test_impossible_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        next(run_lockstep(lambda _: np.zeros((1, 6)), [0], STANDARD, **arguments))
