"""Lock-step evaluation: worlds share a policy, and each episode is what it would be alone."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support.checkpoints import save_act, save_diffusion, save_prana
from support.chunk_policies import (
    HEIGHT,
    WIDTH,
    FormulaPolicy,
    homebody,
    scripted,
    small_spec,
    stays_home,
    two_experts,
)

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.lockstep import run_lockstep
from prana_ros.evaluation.playback import SYNCHRONOUS, Playback
from prana_ros.evaluation.twin_episode import TwinEpisode
from prana_ros.inference.checkpoint import load_policy
from prana_ros.simulation.scene import STANDARD
from prana_ros.simulation.task import TASK
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.model import JOINT_NAMES, REST_POSE
from prana_ros.so101.units import LEROBOT_UNITS

pytestmark = pytest.mark.usefixtures("starts_processes")

CHECKPOINT = Path(__file__).parents[2] / "checkpoints/twin_v2"


def run(policy: FormulaPolicy, seeds, playback=SYNCHRONOUS, **options) -> dict[int, Episode]:
    return {episode.seed: episode for episode in run_lockstep(lambda: policy, seeds, STANDARD, playback, **options)}


@pytest.fixture
def goals(monkeypatch) -> list[np.ndarray]:
    """Of every tick, as planned; see test_driven_world.py for what the servos get."""
    noted: list[np.ndarray] = []
    step = TwinEpisode.step

    def noting(self: TwinEpisode) -> None:
        noted.append(self.driven.motion.planned(self.driven.now_ns))
        step(self)

    monkeypatch.setattr(TwinEpisode, "step", noting)
    return noted


@pytest.fixture
def images(monkeypatch) -> list[tuple[str, float]]:
    """Camera and simulated time of every image."""
    drawn: list[tuple[str, float]] = []
    render = World.render

    def note(self, camera, snapshot=None):
        drawn.append((camera, round(self.time - 0.4, 3)))
        return render(self, camera, snapshot)

    monkeypatch.setattr(World, "render", note)
    return drawn


@pytest.mark.parametrize(
    ("playback", "seconds", "horizon"),
    [(Playback(8), 0.8, 16), (Playback(16), 1.6, 16), (Playback(asynchronous=True, latency=0.2), 0.2, 16)],
    ids=["half a chunk", "whole chunks", "asynchronous"],
)
def test_the_experts_own_chunks_succeed(playback, seconds, horizon):
    policy = scripted([5], seconds, horizon)
    episode = run(policy, [5], playback)[5]
    assert episode.outcome == "success"
    arrived = np.arange(0, episode.duration - 1e-6, seconds) + playback.latency < episode.duration - 1e-6
    assert episode.chunks == arrived.sum()
    assert len(episode.seam_steps) == len(episode.seam_velocity_steps) == episode.chunks - 1
    assert 0.5 < episode.path_length < 1.5
    assert 5 < episode.jerk < 100


def test_worlds_share_a_pass_go_on_with_the_next_scene_at_once_and_change_nothing():
    policy = two_experts()
    # One that shares all its passes, and one that begins in a world where another ended.
    alone = {seed: run(two_experts(), [seed], time_limit=8.0)[seed] for seed in (2, 3)}
    episodes = run(policy, [1, 2, 3, 4], worlds=2, time_limit=8.0)
    assert {seed: episodes[seed] for seed in alone} == alone
    assert sorted(episodes) == [1, 2, 3, 4]
    assert all(episode.success for episode in episodes.values())
    sizes = [len(batch) for batch in policy.batches]
    shared = min(sum(episodes[seed].chunks for seed in each) for each in ((1, 3), (2, 4)))
    assert sizes[:shared] == [2] * shared
    assert sum(sizes) == sum(episode.chunks for episode in episodes.values())
    # The place of the first to end has the third scene in the very next pass.
    first = min((1, 2), key=lambda seed: episodes[seed].chunks)
    assert (3, 0) in policy.batches[episodes[first].chunks]


def test_processes_divide_the_seeds_and_give_the_same_episodes():
    seeds = [1, 2, 3, 4]
    here = {e.seed: e for e in run_lockstep(two_experts, seeds, STANDARD, time_limit=2.0)}
    there = {e.seed: e for e in run_lockstep(two_experts, seeds, STANDARD, time_limit=2.0, processes=2)}
    assert there == here


def test_a_policy_that_stays_home_misses_the_tool():
    episodes = run(homebody(), [1, 2], time_limit=1.0)
    assert {episode.outcome for episode in episodes.values()} == {"missed"}
    assert all(episode.duration == pytest.approx(1.0) for episode in episodes.values())
    assert all(episode.path_length < 0.01 and episode.jerk < 1.0 for episode in episodes.values())


def test_observations_are_the_newest_ones_at_the_policys_rate(images):
    policy = scripted([3], 0.4, 8, observation_steps=3)
    run(policy, [3], Playback(4), time_limit=1.7)
    histories = [policy.requests[3, number].history for number in range(5)]
    first = histories[0]
    assert first[0] is first[1] is first[2], "at the start there is nothing older"
    for history in histories[1:]:
        assert len(history) == 3
        assert not np.array_equal(history[0].state, history[1].state)
        assert not np.array_equal(history[1].state, history[2].state)
        assert {name: image.shape for name, image in history[-1].images.items()} == dict.fromkeys(
            CAMERAS, (HEIGHT, WIDTH, 3)
        )
    # Nothing is drawn that no observation needs.
    needed = [0.0, *(round(chunk * 0.4 - age * 0.1, 1) for chunk in range(1, 5) for age in (2, 1, 0))]
    assert images == [(camera, time) for time in needed for camera in CAMERAS]
    assert {request.task for request in policy.requests.values()} == {TASK}


def test_a_history_looks_back_beyond_the_observation_before():
    """A step of 100 ms and 30 ms of latency: frames for one observation lie between those for the one before."""
    policy = FormulaPolicy(small_spec(observation_steps=4), [0], stays_home)
    episode = run(policy, [0], Playback(1, latency=0.03), time_limit=1.0)[0]
    assert episode.chunks == 8
    assert {len(request.history) for request in policy.requests.values()} == {4}


def test_goals_run_straight_between_points_at_the_drivers_rate(goals):
    points = np.tile(REST_POSE, (16, 1)) + np.outer(np.sin(np.arange(16)), np.eye(6)[0]) * 0.1
    run(FormulaPolicy(small_spec(), [0], lambda *_: points), [0], Playback(8), time_limit=1.0)
    cycle = np.interp(np.arange(80) / 100, np.arange(16) / 10, points[:, 0])
    np.testing.assert_allclose(np.array(goals)[:, 0], np.concatenate([cycle, cycle[:20]]), atol=1e-9)


def test_the_arm_holds_while_a_chunk_is_waited_for(goals):
    """Synchronous, 230 ms: hold, five steps, hold where these ended, the next five."""
    chunks = [
        np.tile(REST_POSE, (16, 1)) + 0.05 * number + np.outer(np.arange(16), np.eye(6)[0]) * 0.01
        for number in range(3)
    ]
    policy = FormulaPolicy(small_spec(), [0], lambda _, number, __: chunks[number])
    episode = run(policy, [0], Playback(5, latency=0.225), time_limit=1.4)[0]
    played = [np.interp(np.arange(50) / 100, np.arange(16) / 10, chunk[:, 0]) for chunk in chunks]
    held = [np.full(23, REST_POSE[0]), np.full(23, chunks[0][5, 0])]
    expected = np.concatenate([held[0], played[0], held[1], played[1]])[:140]
    np.testing.assert_allclose(np.array(goals)[: len(expected), 0], expected, atol=1e-9)
    assert episode.chunks == 2
    np.testing.assert_allclose(episode.seam_steps, [0.05], atol=1e-9)  # from the hold to the second chunk's start
    np.testing.assert_allclose(episode.seam_velocity_steps, [0.1], atol=1e-9)


def test_a_chunk_that_was_played_to_its_end_is_held_there_until_the_next():
    points = np.tile(REST_POSE, (16, 1)) + np.outer(np.arange(16), np.eye(6)[0]) * 0.01
    chunks = [points, points + 0.16 * np.eye(6)[0]]
    policy = FormulaPolicy(small_spec(), [0], lambda _, number, __: chunks[min(number, 1)])
    episode = run(policy, [0], Playback(16), time_limit=2.0)[0]
    np.testing.assert_allclose(episode.seam_steps, [0.01], atol=1e-9)
    np.testing.assert_allclose(episode.seam_velocity_steps, [0.1], atol=1e-9)


def test_asynchronous_chunks_keep_their_times_and_go_on_from_the_running_plan(goals):
    """Frames every 100 ms, chunks after 250 ms: each third frame is used; the simulated latency sets the prefix."""
    rng = np.random.default_rng(0)

    def chunk(_: int, number: int, request) -> np.ndarray:
        points = np.array(REST_POSE) + rng.uniform(-0.05, 0.05, (16, 6))
        if request.prefix is not None:
            points[: len(request.prefix)] = request.prefix
        return points

    policy = FormulaPolicy(small_spec(takes_prefix=True), [0], chunk)
    episode = run(policy, [0], Playback(asynchronous=True, latency=0.25), time_limit=2.0)[0]
    assert episode.chunks == 6  # observed at 0, 0.3, … 1.8 s; the last one is still under way
    prefixes = [policy.requests[0, number].prefix for number in range(7)]
    assert prefixes[0] is None
    assert [len(prefix) for prefix in prefixes[1:]] == [6] * 6  # 250 ms and three overlap steps
    np.testing.assert_allclose(episode.seam_steps, 0.0, atol=1e-9)
    moved = np.array(goals)
    np.testing.assert_array_equal(moved[:25], np.tile(REST_POSE, (25, 1)))
    for number, prefix in enumerate(prefixes[1:], start=1):
        # What the policy was given is what the arm does from the observation on.
        begin = 30 * number
        ticks = np.arange(begin, min(begin + 50, len(moved)), 10)
        np.testing.assert_allclose(moved[ticks], prefix[: len(ticks)], atol=1e-7)


def test_without_latency_every_frame_makes_a_chunk():
    policy = FormulaPolicy(small_spec(), [0], stays_home)
    assert run(policy, [0], Playback(asynchronous=True), time_limit=1.0)[0].chunks == 10


def test_what_cannot_be_played_is_a_stop(caplog):
    def spoil(seed: int, number: int, _: object) -> np.ndarray:
        return np.full((16, 6), np.nan) if (seed, number) == (1, 1) else stays_home()

    policy = FormulaPolicy(small_spec(), [1, 2], spoil)
    episodes = run(policy, [1, 2], time_limit=2.0)
    assert {seed: episode.outcome for seed, episode in episodes.items()} == {1: "stop", 2: "missed"}
    assert episodes[1].duration == pytest.approx(0.8)
    assert "scene 1: The policy returned positions that are not finite" in caplog.text


def test_a_film_has_even_images_of_both_cameras(images):
    episode = run(scripted([5], 0.8), [5], time_limit=3.0, strip=True)[5]
    assert len(episode.strip) == 12
    assert {image.shape for image in episode.strip} == {(HEIGHT, 2 * WIDTH, 3)}
    differences = [np.abs(a.astype(int) - b).mean() for a, b in zip(episode.strip, episode.strip[1:], strict=False)]
    assert min(differences[1:]) > 0.1, "the arm moves on in every image"
    observed = 2 * int(np.ceil(3.0 / 0.8))
    assert len(images) == observed + 24
    assert run(scripted([5], 0.8), [5], time_limit=0.3, strip=True)[5].strip[0].dtype == np.uint8


def test_noise_is_each_worlds_own(tmp_path):
    """Random weights, real noise: worlds that share a pass go the way that they go alone."""
    load = partial(load_policy, save_prana(tmp_path / "checkpoint"), "cpu")
    torch.set_num_threads(1)
    together = {e.seed: e for e in run_lockstep(load, [3, 4, 5], STANDARD, time_limit=1.7, worlds=3)}
    for seed in (3, 5):
        (alone,) = run_lockstep(load, [seed], STANDARD, time_limit=1.7)
        assert together[seed].path_length == pytest.approx(alone.path_length, rel=1e-3)
        np.testing.assert_allclose(together[seed].seam_steps, alone.seam_steps, rtol=1e-2, atol=1e-4)
    assert len({round(episode.path_length, 3) for episode in together.values()}) == 3
    again = {e.seed: e for e in run_lockstep(load, [3, 4, 5], STANDARD, time_limit=1.7, worlds=3)}
    assert again == together


@pytest.mark.parametrize(("save", "frames"), [(save_act, 1), (save_diffusion, 2)], ids=["act", "diffusion"])
def test_any_policy_of_lerobots_drives_the_arm(save, frames, tmp_path):
    torch.set_num_threads(1)
    told = {"joint_names": JOINT_NAMES, "units": LEROBOT_UNITS, "fps": 10.0}
    load = partial(load_policy, save(tmp_path / "checkpoint"), "cpu", **told)
    assert load().spec.observation_steps == frames
    episodes = list(run_lockstep(load, [1, 2, 3], STANDARD, Playback(4), worlds=2, time_limit=1.0))
    assert sorted(episode.seed for episode in episodes) == [1, 2, 3]
    assert all(episode.chunks == 3 and episode.path_length > 0.05 for episode in episodes)


def test_the_demos_policy_succeeds():
    torch.set_num_threads(1)
    load = partial(load_policy, CHECKPOINT, "cpu")
    episodes = list(run_lockstep(load, [0, 3], STANDARD, worlds=2))
    assert [episode.outcome for episode in episodes] == ["success"] * 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"seeds": []}, "number of seeds is 0; it must be at least 1"),
        ({"worlds": 0}, "number of worlds is 0"),
        ({"processes": 0}, "number of processes is 0"),
        ({"time_limit": 0.0}, r"time limit is 0\.0 s; it must be at least 0\.01 s, and finite"),
        ({"time_limit": float("nan")}, "time limit is nan s"),
        ({"time_limit": float("inf")}, "time limit is inf s"),
        ({"seeds": [-1]}, "seed is -1; it must not be negative"),
        ({"playback": Playback(17)}, "execute_steps is 17; it must be at most 16"),
        ({"playback": Playback(asynchronous=True, latency=1.6)}, r"latency is 1\.6 s; it must be at most 1\.5 s"),
    ],
)
def test_impossible_runs_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        list(run_lockstep(**{"load": homebody, "seeds": [0], "distribution": STANDARD, **arguments}))
