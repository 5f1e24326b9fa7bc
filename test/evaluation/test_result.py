"""The JSON file of a result: all there is, and back again."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.episodes import episode, evaluation, strip_of

from prana_ros.evaluation.episode import OUTCOMES
from prana_ros.evaluation.result import read_evaluation, write_evaluation

NUMBERS = st.floats(0, 100)
EPISODES = st.lists(
    st.builds(
        lambda outcome, duration, steps: (outcome, duration, tuple(steps)),
        st.sampled_from(OUTCOMES),
        NUMBERS,
        st.lists(NUMBERS, max_size=3),
    ),
    min_size=1,
    max_size=6,
)


@given(EPISODES)
def test_what_was_written_is_read(tmp_path_factory, made):
    """Figures of episodes to six digits, all else as it was; what was read is written as it is."""
    written = evaluation(
        [
            episode(seed, outcome, duration=duration, seam_steps=steps)
            for seed, (outcome, duration, steps) in enumerate(made)
        ]
    )
    path = tmp_path_factory.mktemp("result") / "act.json"
    write_evaluation(written, path)
    read = read_evaluation(path)
    assert dataclasses.replace(read, episodes=written.episodes) == written
    for one, (outcome, duration, steps) in zip(read.episodes, made, strict=True):
        assert (one.outcome, one.chunks) == (outcome, 3)
        assert (one.duration, *one.seam_steps) == pytest.approx((duration, *steps), rel=6e-6, abs=1e-12)
    write_evaluation(read, path)
    assert read_evaluation(path) == read


def test_an_episode_is_kept_in_few_characters(tmp_path):
    write_evaluation(evaluation([episode(0, seam_steps=(1 / 3,) * 100)]), tmp_path / "act.json")
    (line,) = (line for line in (tmp_path / "act.json").read_text().splitlines() if '"seed"' in line)
    assert line.count("0.333333,") == 99
    assert len(line) < 1300


def test_the_file_says_on_what_it_depends_and_holds_a_line_for_each_episode(tmp_path):
    made = [episode(5, strip=strip_of(3)), episode(6, "dropped")]
    write_evaluation(evaluation(made, requested=4), tmp_path / "act.json", expert=[episode(5, jerk=5.0)])
    text = (tmp_path / "act.json").read_text()
    content = json.loads(text)
    assert content["first_seed"] == 5
    assert content["policy"]["type"] == "act"
    assert content["machine"]["cores"] >= 1
    assert content["summary"]["successes"] == 1
    assert content["summary"]["relative_to_expert"]["scenes"] == 1
    assert "strip" not in text
    assert sum('"seed"' in line for line in text.splitlines()) == 2
    assert read_evaluation(tmp_path / "act.json").broken_off


def test_numbers_that_json_lacks_are_null(tmp_path):
    write_evaluation(evaluation([episode(0, "stop", jerk=math.nan)]), tmp_path / "act.json")
    assert json.loads((tmp_path / "act.json").read_text())["episodes"][0]["jerk"] is None
    assert math.isnan(read_evaluation(tmp_path / "act.json").episodes[0].jerk)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[1, 2]", "lacks 'name'"),
        ('{"name": "act"}', "lacks 'policy'"),
    ],
)
def test_another_file_is_refused_in_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=sentence) as refused:
        read_evaluation(path)
    assert "other.json" in str(refused.value)


def test_an_episode_that_is_none_is_refused(tmp_path):
    path = tmp_path / "act.json"
    write_evaluation(evaluation([episode(0, "dropped")]), path)
    path.write_text(path.read_text().replace('"outcome": "dropped"', '"outcome": "lost"'))
    with pytest.raises(ValueError, match="its outcome is 'lost'; allowed: success, missed"):
        read_evaluation(path)
    path.write_text(path.read_text().replace('"seed": 0', '"sead": 0'))
    with pytest.raises(ValueError, match="holds an episode that is none"):
        read_evaluation(path)
    content = json.loads(path.read_text())
    for other in (5, [5], ["dropped"]):
        path.write_text(json.dumps({**content, "episodes": other}))
        with pytest.raises(ValueError, match="holds an episode that is none"):
            read_evaluation(path)
