import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import arm, chunk, joints, no_chunk, series

from prana_ros.report.log import RunLog, percentiles
from prana_ros.report.summary import summarize_run


def two_episodes() -> RunLog:
    log = RunLog()
    log.series += [
        series(1.0, "resetting", 0),
        series(2.0, "running", 0),
        series(2.2, "running", 0),
        series(7.0, "resetting", 1, ["success"]),
        series(8.0, "running", 1, ["success"]),
        series(18.0, "done", 1, ["success", "timeout"]),
    ]
    log.chunks += [chunk(2.5, latency=0.05), chunk(2.6, latency=0.07, lost=2), chunk(2.7, published=False, lost=2)]
    log.chunks.append(no_chunk(3.7, "Input 'wrist' is frozen."))
    log.arm += [arm(3.0, jitter=0.004), arm(4.0, jitter=0.001)]
    log.measured += [joints(t, 0.1) for t in np.arange(2.0, 18.0, 0.5)]
    # While the policy is loaded and between the episodes a command comes late, which is not the loop's jitter.
    late = {50, 120, 550}
    log.commanded += [joints(0.01 * k + (0.004 if k in late else 0.0), 0.1) for k in range(1900)]
    return log


def test_episodes_run_from_the_policys_start_to_the_outcome():
    first, second = two_episodes().episodes()
    assert (first.start, first.end, first.outcome) == (2.0, 7.0, "success")
    assert (second.start, second.end, second.outcome) == (8.0, 18.0, "timeout")


def test_an_episode_that_was_cut_off_is_unfinished_and_ends_with_the_last_report():
    log = RunLog(series=two_episodes().series[:5])
    last = log.episodes()[-1]
    assert (last.start, last.end, last.outcome) == (8.0, 8.0, "unfinished")


@given(st.lists(st.floats(0.0, 1e3), min_size=1))
def test_percentiles_bound_each_other_and_ignore_what_is_no_number(values):
    found = percentiles([*values, math.nan, math.inf])
    assert min(values) <= found["p50"] <= found["p95"] <= found["max"] == max(values)
    assert found["p50"] == pytest.approx(np.median(values))


def test_figures_count_only_published_chunks_and_the_jitter_of_the_episodes():
    figures = two_episodes().metrics()
    assert figures["chunks"] == 2
    assert figures["chunks_not_published"] == 1
    assert figures["latency_s"]["p50"] == pytest.approx(0.06)
    assert figures["servo_period_error_p99_s"] == pytest.approx(0.0, abs=1e-9)
    log = two_episodes()
    log.commanded = [joints(0.01 * k + (0.003 if k % 20 == 0 else 0.0), 0.1) for k in range(1900)]
    assert log.metrics()["servo_period_error_p99_s"] == pytest.approx(0.003)
    assert figures["frames"] == {"table": {"received": 10, "lost": 2}}


def test_an_empty_log_has_no_figures_but_a_summary():
    log = RunLog()
    assert log.metrics()["latency_s"] is None
    assert "none ran" in summarize_run(log)


def test_the_log_is_json_also_where_a_figure_is_no_number(tmp_path):
    log = two_episodes()
    log.arm.append(arm(5.0, jitter=math.nan))
    log.write(tmp_path / "log.json", seed=7)
    content = json.loads((tmp_path / "log.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert content["seed"] == 7
    assert [episode["outcome"] for episode in content["episodes"]] == ["success", "timeout"]
    assert len(content["measured"]) == len(log.measured)


def test_the_summary_states_every_outcome_and_figure():
    text = summarize_run(two_episodes(), real_time_factor=0.5)
    for words in (
        "1 of 2 succeeded",
        "1: success after 5.0 s",
        "2: timeout after 10.0 s",
        "2 published, latency p50 60 ms",
        "1 held back",
        "period error p99 0.0 ms in the episodes",
        "table 2 of 12 lost",
        "0.5 of real time",
    ):
        assert words in text
