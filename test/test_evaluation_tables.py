"""The tables of docs/evaluation.md are those of the kept results."""

import pytest

from benchmarks import evaluation_tables
from benchmarks.closed_loop import kept
from benchmarks.evaluation_tables import PAGE, filled
from benchmarks.success import V2
from prana_ros import resources
from prana_ros.evaluation.evaluated_policy import weights_fingerprint

SUMMARY = {
    "scenes": "hard",
    "runner": "lockstep",
    "policy": {"parameters": 2_000_000},
    "episodes": 100,
    "outcomes": {"success": 91, "missed": 9, "dropped": 0},
    "successes": 91,
    "success_rate_95": [0.838, 0.952],
    "time_to_success_s": {"median": 7.25, "p90": 9.0},
    "seam_position_rad": {"median": 0.01, "p95": 0.02},
    "relative_to_expert": {"scenes": 91, "path_length": [1.1, 1.0, 1.2], "jerk": None},
}


def test_the_page_has_the_tables_of_the_kept_results():
    assert PAGE.read_text() == filled(PAGE.read_text())


def test_the_demos_results_are_of_the_checkpoint_in_the_repository():
    of_v2 = [each for each in kept("success") if each.name == V2]
    of_v2 += [each for benchmark in ("ablations", "latency_robustness", "unseen_before") for each in kept(benchmark)]
    present = weights_fingerprint(str(resources.packaged("checkpoints", "twin_v2")))
    assert {each.policy.get("weights") for each in of_v2} == {present}


def test_a_row_tells_success_failures_and_motion():
    table = evaluation_tables.success_table({"evaluations": [{"name": "act", **SUMMARY}]})
    cells = [cell.strip() for cell in table.splitlines()[-1].strip("|").split("|")]
    assert cells[:6] == ["hard", "act", "lockstep", "91 / 100", "83.8% to 95.2%", "missed 9"]
    assert cells[6:] == ["7.2", "1.10", evaluation_tables.NONE, "0.57, 1.15"]


def test_a_pair_is_told_in_points_of_the_first_minus_the_second():
    pair = {"first": "white noise", "second": "as deployed", "scenes": "hard", "difference": [-0.04, -0.11, 0.02]}
    pair |= {
        "only_first": 3,
        "only_second": 7,
        "p_value": 0.34,
        "both": 80,
        "jerk": [1.5, 1.2, 1.9],
        "path_length": None,
    }
    line = evaluation_tables.changes_table({"evaluations": [{"name": "white noise", **SUMMARY}], "pairs": [pair]})
    assert "| -4.0 | -11.0 to +2.0 | 1.50 (1.20 to 1.90) |" in line.splitlines()[-1]


def test_a_page_without_a_place_for_a_table_is_refused():
    with pytest.raises(ValueError, match="no place for the table 'success'"):
        filled("# Nothing here")
