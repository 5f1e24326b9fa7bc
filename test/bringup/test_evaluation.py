"""Evaluation through the graph: records from what was noted, and real processes on the twin."""

import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from support.checkpoints import save_act
from support.deploy import save_wandering_act
from support.records import arm, chunk, joints, series

from prana_ros.bringup import evaluation, supervisor
from prana_ros.bringup.evaluation import episode_record, evaluate_graph, fitting_graph, image_size_of
from prana_ros.bringup.session import SessionResult
from prana_ros.evaluation.evaluate_lockstep import Trials
from prana_ros.evaluation.evaluated_policy import EvaluatedPolicy
from prana_ros.evaluation.result import write_evaluation
from prana_ros.evaluation.smoothness import jerk, path_length
from prana_ros.graphs.deploy import DeployOptions
from prana_ros.report.log import RunLog

pytestmark = pytest.mark.usefixtures("starts_processes")

TWIN = Path(__file__).parents[1] / "nodes" / "twin_with_known_outcome.py"


def noted(outcome: str) -> RunLog:
    """An episode from 10 s to 12 s with one before it, chunks every 0.5 s, the joints measured at the driver's rate."""
    rng = np.random.default_rng(0)
    times = np.arange(5.0, 15.0, 0.01) + rng.uniform(-1e-3, 1e-3, 1000)
    return RunLog(
        series=[
            series(6.0, "running", 0),
            series(8.0, "resetting", 1, ["success"]),
            series(10.0, "running", 1, ["success"]),
            series(12.0, "done", 1, ["success", outcome]),
        ],
        measured=[joints(time, math.sin(time)) for time in times],
        chunks=[chunk(time, latency=0.1, seam=0.01 * time, published=time != 11.0) for time in np.arange(6, 14, 0.5)],
        arm=[arm(6.0)],
    )


def test_an_episode_has_the_chunks_seams_and_motion_of_its_time():
    log = noted("missed")
    record = episode_record(log, log.episodes()[1], seed=43)
    assert (record.seed, record.outcome, record.duration) == (43, "missed", pytest.approx(2.0))
    assert record.chunks == 3, "those of 10, 10.5 and 11.5: that of 11 was not published, that of 12 came later"
    assert record.seam_steps == pytest.approx((0.10, 0.105, 0.115))
    even = np.arange(10.0, 12.0, 0.01)
    positions = np.repeat(np.sin(even)[:, None], 6, axis=1)
    assert record.path_length == pytest.approx(path_length(even, positions), rel=0.02)
    assert record.jerk == pytest.approx(jerk(even, positions), rel=0.05)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("success", "success"),
        ("outside the box", "outside the box"),
        ("timeout", "timeout"),
        ("stopped: overload of gripper", "stop"),
        ("aborted: Input 'table' is frozen.", "stop"),
    ],
)
def test_what_the_graph_says_becomes_an_outcome(said, outcome):
    log = noted(said)
    assert episode_record(log, log.episodes()[1], seed=0).outcome == outcome


def test_an_arm_that_was_never_seen_has_no_figures():
    log = dataclasses.replace(noted("missed"), measured=[])
    record = episode_record(log, log.episodes()[1], seed=0)
    assert math.isnan(record.path_length)
    assert math.isnan(record.jerk)


def test_the_graph_is_told_what_the_checkpoint_does_not_say(tmp_path):
    spec = EvaluatedPolicy("act", str(save_act(tmp_path / "act")), "cpu", fps=10.0).load().spec
    graph = fitting_graph(DeployOptions(sim=True, policy_path="act"), spec)
    parameters = {node.name: node.parameters for node in graph.nodes}
    assert parameters["policy"]["fps"] == 10.0
    assert parameters["policy"]["units"] == "degrees"
    assert parameters["policy"]["joint_names"][0] == "shoulder_pan"
    assert (parameters["twin"]["camera_width"], parameters["twin"]["camera_height"]) == (64, 48)
    squared = dataclasses.replace(spec, cameras={"table": (3, 96, 96), "wrist": (3, 96, 96)})
    with pytest.raises(ValueError, match="stretched to 96x96, which a camera node does not publish"):
        image_size_of(squared)


class ScriptedGraph:
    """In the place of ``run_graph``: each run ends its episodes as the script says; the seeds it was given are kept."""

    def __init__(self, *runs: tuple[list[str], str, bool]) -> None:
        self.runs = list(runs)
        self.given: list[tuple[int, int]] = []

    def __call__(self, graph, _folder, _terminal, observe):
        options = next(node.parameters for node in graph.nodes if node.name == "episodes")
        self.given.append((options["seed"], options["episodes"]))
        outcomes, failure, interrupted = self.runs.pop(0)
        recorder = observe.__self__
        for number, outcome in enumerate(outcomes):
            recorder.on_series(series(10.0 * number, "running", number, outcomes[:number]))
            if outcome != "unfinished":
                recorder.on_series(series(10.0 * number + 5.0, "resetting", number, outcomes[: number + 1]))
        return SessionResult(failure, interrupted, tuple(outcomes))


@pytest.mark.parametrize(
    ("runs", "given", "outcomes", "failure", "interrupted"),
    [
        pytest.param(
            [(["success", "stopped: overload"], "", False), (["missed", "success"], "", False)],
            [(3, 4), (5, 2)],
            ["success", "stop", "missed", "success"],
            "",
            False,
            id="a stop ends the series, the next scene begins another",
        ),
        pytest.param(
            [(["success", "unfinished"], "policy died", False), (["success"] * 2, "", False)],
            [(3, 4), (5, 2)],
            ["success", "stop", "success", "success"],
            "",
            False,
            id="a process that died costs one episode",
        ),
        pytest.param(
            [([], "policy: cannot configure: no", False)],
            [(3, 4)],
            [],
            "policy: cannot configure: no",
            False,
            id="a graph that does not come up is not started again",
        ),
        pytest.param(
            [(["success", "aborted: interrupted"], "", True)],
            [(3, 4)],
            ["success"],
            "",
            True,
            id="Ctrl-C in an episode",
        ),
        pytest.param([(["missed", "unfinished"], "", True)], [(3, 4)], ["missed"], "", True, id="Ctrl-C, unreported"),
    ],
)
def test_a_series_goes_on_after_what_broke_it_off(runs, given, outcomes, failure, interrupted, tmp_path, monkeypatch):
    graph = ScriptedGraph(*runs)
    monkeypatch.setattr(evaluation, "run_graph", graph)
    spec = EvaluatedPolicy("act", str(save_act(tmp_path / "act")), "cpu", fps=10.0).load().spec
    options = DeployOptions(sim=True, policy_path="act", episodes=4, seed=3)
    result = evaluation.run_through_graph(options, spec, tmp_path / "graph")
    assert graph.given == given
    assert [(episode.seed, episode.outcome) for episode in result.episodes] == list(enumerate(outcomes, start=3))
    assert (result.failure, result.interrupted) == (failure, interrupted)
    assert len(result.figures) == len(given)


@pytest.mark.timeout(600)
def test_scenes_run_through_the_graph_in_the_order_of_their_seeds(tmp_path, monkeypatch):
    """A twin whose odd scenes are done from the beginning, and LeRobot's ACT, which never lifts anything."""
    executable = supervisor._executable
    monkeypatch.setattr(
        supervisor,
        "_executable",
        lambda node: [sys.executable, str(TWIN)] if node.name == "twin" else executable(node),
    )
    candidate = EvaluatedPolicy("act", str(save_wandering_act(tmp_path / "act")), "cpu", fps=10.0)
    trials = Trials("standard", range(6, 8), time_limit=2.0, strip=True, command="a test")
    result = evaluate_graph(candidate, trials, folder=tmp_path, real_time_factor=0.25)
    assert [(episode.seed, episode.outcome) for episode in result.episodes] == [(6, "missed"), (7, "success")]
    assert not result.broken_off
    missed = result.episodes[0]
    assert missed.duration == pytest.approx(2.0, abs=0.7)
    assert missed.chunks >= 1
    assert len(missed.seam_steps) <= missed.chunks
    assert 0.0 < missed.path_length < 1.0
    assert len(missed.strip) > 1
    assert result.runner == "graph"
    assert result.playback == {"mode": "continuous", "real_time_factor": 0.25}
    assert result.graph["endings"] == {"missed": 1, "success": 1}
    (figures,) = result.graph["runs"]
    assert figures["latency_s"]["p50"] > 0
    assert figures["frames"]["table"]["received"] > 0
    assert figures["commands_sent"] > 0
    write_evaluation(result, tmp_path / "act.json")
    assert json.loads((tmp_path / "act.json").read_text())["graph"]["failure"] == ""
