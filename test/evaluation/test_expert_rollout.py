"""The scripted expert as the reference of an evaluation."""

import pytest

from prana_ros.evaluation.expert_rollout import run_expert
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import HARD, STANDARD, sample_scene
from prana_ros.simulation.world import World

pytestmark = pytest.mark.usefixtures("starts_processes")


def test_the_expert_does_the_scenes_of_the_evaluation_and_draws_nothing(monkeypatch):
    monkeypatch.setattr(World, "render", lambda *_: pytest.fail("an image was drawn"))
    episodes = {episode.seed: episode for episode in run_expert([3, 8], STANDARD, plain=True)}
    assert sorted(episodes) == [3, 8]
    for seed, episode in episodes.items():
        assert episode.outcome == "success"
        assert episode.chunks == 0
        assert episode.seam_steps == ()
        assert episode.duration < Expert(sample_scene(STANDARD, seed)).duration
        assert 0.5 < episode.path_length < 1.5
        assert 5 < episode.jerk < 60


def test_peoples_manners_differ_and_processes_give_the_same():
    here = sorted(run_expert([1, 2], HARD), key=lambda episode: episode.seed)
    there = sorted(run_expert([1, 2], HARD, processes=2), key=lambda episode: episode.seed)
    assert here == there
    assert here != sorted(run_expert([1, 2], HARD, plain=True), key=lambda episode: episode.seed)


@pytest.mark.parametrize(("seeds", "processes", "sentence"), [([], 1, "seeds is 0"), ([1], 0, "processes is 0")])
def test_no_scene_or_no_process_is_refused(seeds, processes, sentence):
    with pytest.raises(ValueError, match=f"the number of {sentence}; it must be at least 1"):
        run_expert(seeds, STANDARD, processes=processes)
