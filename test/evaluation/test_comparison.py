"""Figures of one policy and of pairs, and the tables that show them."""

import math

import pytest
from support.episodes import episode, evaluation

from prana_ros.evaluation.comparison import compare, compare_all
from prana_ros.evaluation.summary import episode_metrics
from prana_ros.evaluation.tables import comparison_table, policy_table


def test_the_summary_counts_every_outcome_and_times_successes_only():
    episodes = [
        episode(0, duration=4.0),
        episode(1, duration=6.0),
        episode(2, "missed", duration=15.0, jerk=0.1, path_length=0.01, seam_steps=(0.5,)),
    ]
    figures = episode_metrics(episodes)
    assert figures["outcomes"] == {
        "success": 2,
        "missed": 1,
        "dropped": 0,
        "outside the box": 0,
        "timeout": 0,
        "stop": 0,
    }
    assert figures["time_to_success_s"] == pytest.approx({"median": 5.0, "p90": 5.8})
    assert figures["jerk_rad_per_s3"]["median"] == pytest.approx(10.5)
    assert figures["seam_position_rad"]["max"] == 0.5, "a seam is a seam, whatever became of the episode"
    assert figures["chunks"] == 9
    assert "relative_to_expert" not in figures


def test_a_policy_that_never_succeeds_has_no_time():
    figures = episode_metrics([episode(0, "missed", seam_steps=(), seam_velocity_steps=())], expert=[episode(0)])
    assert figures["time_to_success_s"] is None
    assert figures["seam_position_rad"] is None
    assert figures["relative_to_expert"] == {"scenes": 0, "path_length": None, "jerk": None}


def test_ratios_are_those_of_the_scenes_in_which_both_succeeded():
    first = evaluation([episode(0, jerk=20.0), episode(1, jerk=40.0), episode(2, jerk=1000.0), episode(3, "dropped")])
    second = evaluation(
        [episode(0, jerk=10.0), episode(1, jerk=10.0), episode(2, "missed", jerk=1.0), episode(3)], "diffusion"
    )
    pair = compare(first, second)
    assert pair.both == 2
    assert pair.jerk.value == pytest.approx(math.sqrt(2 * 4))
    assert pair.path_length.value == pytest.approx(1.0)
    assert (pair.success.only_first, pair.success.only_second) == (1, 1)


def test_an_episode_that_was_over_before_the_arm_moved_has_no_ratio():
    still = evaluation([episode(0, jerk=0.0), episode(1, jerk=20.0), episode(2, jerk=20.0)])
    moving = evaluation([episode(seed, jerk=10.0) for seed in range(3)], "v2")
    for pair, ratio in ((compare(still, moving), 2.0), (compare(moving, still), 0.5)):
        assert pair.both == 3
        assert pair.jerk.value == pytest.approx(ratio)


def test_every_pair_is_compared_once():
    evaluations = [evaluation([episode(0)], name) for name in ("a", "b", "c")]
    pairs = compare_all(evaluations)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (
            evaluation([episode(0), episode(2)], "v2"),
            "act was given hard scenes 0 to 1 and v2 hard scenes 0 to 2, 2 of ",
        ),
        (evaluation([episode(0), episode(1)], "v2", scenes="standard"), "and v2 standard scenes 0 to 1; only results"),
        (evaluation([], "v2"), "v2 no hard scene"),
        (evaluation([episode(0), episode(1)], "v2", time_limit=30.0), "act was given 15 s a scene and v2 30 s"),
    ],
)
def test_other_scenes_are_refused_in_one_sentence(other, sentence):
    with pytest.raises(ValueError, match=sentence):
        compare(evaluation([episode(0), episode(1)]), other)


def test_the_tables_have_a_line_for_each_policy_and_pair():
    expert = [episode(seed, jerk=5.0) for seed in range(10)]
    good = evaluation([episode(seed, jerk=10.0) for seed in range(10)], "v2")
    bad = evaluation([episode(seed, "missed" if seed < 6 else "success", jerk=20.0) for seed in range(10)])
    head, _, first, second, _ = policy_table([good, bad], expert).splitlines()
    assert head.split("  ")[0] == "policy"
    assert "10/10" in first
    assert "2.00 (2.00 to 2.00)" in first
    columns = head.index("missed")
    assert (first[columns], second[columns]) == ("–", "6")
    assert "72.2% to 100.0%" in first  # 10 of 10: 1 / (1 + z²/10)
    row = comparison_table(compare_all([good, bad])).splitlines()[2]
    assert "+60.0 points" in row
    assert "0.50 (0.50 to 0.50)" in row


def test_without_the_expert_the_table_has_units():
    table = policy_table([evaluation([episode(0)])])
    assert "path (m)" in table
    assert "jerk (rad/s³)" in table
