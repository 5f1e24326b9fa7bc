"""``prana deploy`` with every node a real process, on the twin, and on the twin's port as if it were an arm."""

import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import JointState
from support.deploy import PRANA, patient_parameters, save_wandering_policy
from support.processes import TestProcess
from support.ros import wait_until

from prana_msgs.action import RunPolicy
from prana_msgs.msg import ArmState, ChunkReport
from prana_ros.nodes import qos
from prana_ros.so101.model import REST_POSE

pytestmark = pytest.mark.timeout(600)

UP = 300.0
"""Seconds in which a graph comes up on a machine that has other things to do."""
AT_REST = 0.15
"""rad; the joints lean on their stops and on friction."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_wandering_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def deploy(processes, tmp_path):
    """Start ``prana deploy``."""

    def start(*arguments: object) -> TestProcess:
        text = [str(argument) for argument in arguments]
        return processes.python(*PRANA, "deploy", *text, "--device", "cpu", "--output", tmp_path / "run")

    return start


@pytest.fixture
def on_twin(deploy, policy, tmp_path):
    """Start ``prana deploy`` on the twin, at a speed that a loaded machine keeps."""

    def start(*arguments: object) -> TestProcess:
        common = ("--sim", "--port", tmp_path / "port", "--real-time-factor", 0.3)
        common += ("--params-file", patient_parameters(tmp_path))
        return deploy(*common, "--policy-path", policy, "--episodes", 2, "--episode-time", 60, *arguments)

    return start


class Motion:
    """Watches the joints: whether the policy moves the arm, and where it was last seen."""

    def __init__(self, ros):
        self.reports = ros.collect("policy/chunk_report", ChunkReport, qos.REPORT)
        self.measured = ros.collect("joint_states", JointState, qos.JOINT_STATE_SUB)

    @property
    def position(self) -> np.ndarray:
        return np.array(self.measured.messages[-1].position)

    def wait_until_raised(self) -> None:
        # An arm without torque need not lie at the rest pose.
        self.reports.wait_for(lambda report: report.published, UP)
        wait_until(
            lambda: bool(self.measured.messages) and np.abs(self.position - REST_POSE).max() > 0.25,
            UP,
            lambda: f"the arm did not leave its rest pose: {self.measured.messages[-1:]}",
        )

    def assert_at_rest(self) -> None:
        assert np.abs(self.position - REST_POSE).max() < AT_REST, self.position


def node_processes(parent: TestProcess) -> dict[str, int]:
    """The process ids of the nodes below ``prana deploy``, by node name."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    nodes = {}
    for child in children:
        for word in Path(f"/proc/{child}/cmdline").read_text().split("\0"):
            if word.startswith("__node:="):
                nodes[word.removeprefix("__node:=")] = int(child)
    return nodes


def alive(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]


def assert_gone(pids: dict[str, int]) -> None:
    assert not alive(pids)


def test_ctrl_c_during_motion_brings_the_arm_to_rest_and_everything_down_in_order(on_twin, ros, tmp_path):
    running = on_twin()
    motion = Motion(ros)
    motion.wait_until_raised()
    pids = node_processes(running)
    assert set(pids) == {"twin", "so101_driver", "policy", "episodes"}
    running.send(signal.SIGINT)
    running.must_end(130, within=200.0)
    assert "stopping on SIGINT: the driver brings the arm to rest" in running.output
    assert "the arm was stopped" not in running.output
    motion.assert_at_rest()
    assert_gone(pids)
    log = (tmp_path / "run" / "run.log").read_text()
    stops = [log.index(f"{name}: INFO shutting down on SIGINT") for name in ("policy", "so101_driver", "twin")]
    assert stops == sorted(stops)


def test_a_policy_that_is_killed_while_the_arm_moves_is_named_and_the_arm_is_brought_to_rest(on_twin, ros):
    running = on_twin()
    motion = Motion(ros)
    motion.wait_until_raised()
    pids = node_processes(running)
    os.kill(pids["policy"], signal.SIGKILL)
    running.must_end(1, within=200.0)
    assert f"policy (process {pids['policy']}) was killed by SIGKILL (9)." in running.output
    motion.assert_at_rest()
    assert_gone(pids)


def test_a_driver_that_is_killed_while_the_arm_moves_is_named_and_nothing_is_left_running(on_twin, ros):
    running = on_twin()
    Motion(ros).wait_until_raised()
    pids = node_processes(running)
    os.kill(pids["so101_driver"], signal.SIGKILL)
    running.must_end(1, within=200.0)
    assert f"so101_driver (process {pids['so101_driver']}) was killed by SIGKILL (9)." in running.output
    assert_gone(pids)


def test_a_supervisor_that_is_killed_leaves_an_arm_at_rest_and_nothing_running(on_twin, ros):
    running = on_twin()
    motion = Motion(ros)
    motion.wait_until_raised()
    pids = node_processes(running)
    running.send(signal.SIGKILL)
    wait_until(lambda: not alive(pids), 200.0, lambda: f"{alive(pids)} are left running")
    motion.assert_at_rest()


def test_without_a_series_the_graph_stays_up_until_ctrl_c_and_the_policy_takes_goals(on_twin, ros):
    running = on_twin("--no-series")
    running.wait_for("no series is run: the action policy/run_policy and joint_trajectory are yours", timeout=UP)
    assert set(node_processes(running)) == {"twin", "so101_driver", "policy"}
    client = ros.action("policy/run_policy", RunPolicy)
    handle = ros.result(client.send_goal_async(RunPolicy.Goal(time_limit=1.0)))
    result = ros.result(handle.get_result_async(), timeout=60.0).result
    assert result.outcome == RunPolicy.Result.OUTCOME_TIME_LIMIT
    running.send(signal.SIGINT)
    running.must_end(130, within=200.0)


def test_a_policy_path_that_does_not_exist_is_one_sentence(deploy, tmp_path):
    running = deploy("--sim", "--port", tmp_path / "port", "--policy-path", "no_such_policy", "--real-time-factor", 0.3)
    running.must_end(1, within=60.0)
    (complaint,) = running.output.splitlines()
    assert complaint.startswith("prana: policy_path is 'no_such_policy', which is no folder here")
    assert not (tmp_path / "run").exists()


def test_options_that_no_graph_can_be_built_from_start_nothing(deploy, tmp_path):
    running = deploy("--port", "/dev/ttyACM0", "--policy-path", "policy")
    running.must_end(1, within=60.0)
    assert running.output == "prana: robot_id is empty: give the id that the arm was calibrated under.\n"
    assert not (tmp_path / "run").exists()


# -- as on a real arm: no simulated nodes, cameras of their own --------------------------------------------------------


@pytest.fixture
def on_arm(processes, deploy, policy, tmp_path):
    """Start ``prana deploy`` on the port of a twin, as on that of an arm, with images as cameras."""
    link = tmp_path / "ttyARM"
    twin = processes.python(*PRANA, "twin", "--link", link, "--robot-id", "test_arm")
    twin.wait_for("Ctrl-C ends the twin", timeout=120.0)
    rng = np.random.default_rng(0)
    cameras = {}
    for name in ("table", "wrist"):
        cameras[name] = {"path": str(tmp_path / f"{name}.png"), "fps": 30.0}
        cv2.imwrite(cameras[name]["path"], rng.integers(0, 256, (240, 320, 3), dtype=np.uint8))

    def start(*arguments: object, **changes: object) -> TestProcess:
        options = {
            "port": link,
            "robot-id": "test_arm",
            "cameras": json.dumps(cameras),
            "policy-path": policy,
            "params-file": patient_parameters(tmp_path),
            **changes,
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        return deploy(*flags, "--episodes", 1, "--episode-time", 6, "--reset-time", 0.5, *arguments)

    return start


def test_a_series_on_an_arm_ends_by_itself_with_the_arm_at_rest(on_arm, ros):
    running = on_arm()
    motion = Motion(ros)
    running.must_end(0, within=UP)
    assert "episode 1 of 1: timeout" in running.output
    motion.assert_at_rest()


def test_a_dry_run_reports_plans_and_leaves_the_arm_where_it_is(on_arm, ros):
    running = on_arm("--dry-run")
    commanded = ros.collect("so101_driver/commanded", JointState, qos.JOINT_STATE_SUB)
    states = ros.collect("so101_driver/arm_state", ArmState, qos.LATCHED)
    reports = ros.collect("policy/chunk_report", ChunkReport, qos.REPORT)
    running.wait_for("^episode 1 of 1: timeout$", timeout=UP)
    assert {(report.published, report.reason) for report in reports.messages} == {(False, "dry run")}
    assert {state.mode for state in states.messages} == {ArmState.MODE_TORQUE_OFF}
    assert commanded.messages == []
    running.must_end(0, within=200.0)


def test_a_camera_that_freezes_ends_the_episode_with_its_name(on_arm, ros):
    running = on_arm("--episode-time", 300)
    motion = Motion(ros)
    motion.wait_until_raised()
    pids = node_processes(running)
    os.kill(pids["wrist"], signal.SIGSTOP)
    try:
        found = running.wait_for(r"^episode 1 of 1: aborted: .*wrist.*$", timeout=60.0)
    finally:
        os.kill(pids["wrist"], signal.SIGCONT)
    assert "table" not in found.group(0)
    running.must_end(1, within=200.0)
    motion.assert_at_rest()


@pytest.mark.usefixtures("measures_time")
def test_a_camera_that_is_much_too_slow_is_refused_before_the_arm_has_torque(on_arm, ros, tmp_path):
    rates = {"table": 30.0, "wrist": 1.0}
    cameras = {name: {"path": str(tmp_path / f"{name}.png"), "fps": fps} for name, fps in rates.items()}
    states = ros.collect("so101_driver/arm_state", ArmState, qos.LATCHED)
    running = on_arm(cameras=json.dumps(cameras))
    running.must_end(1, within=UP)
    running.wait_for(
        "^policy: cannot activate: Camera 'wrist' gives 1.0 images a second, .* set min_camera_rate below 0.4"
    )
    assert "'table'" not in running.output
    assert {state.mode for state in states.messages} == {ArmState.MODE_TORQUE_OFF}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"polcy": {"ros__parameters": {"mode": "rolling"}}}, "prana: params_file .* has a section 'polcy', .*policy"),
        (
            {"policy": {"ros__parameters": {"mod": "rolling"}}},
            "policy: cannot configure: parameter 'mod' is unknown; this node has .*'mode'",
        ),
        (
            {"so101_driver": {"ros__parameters": {"max_velocity": 60.0}}},
            "so101_driver: cannot configure: parameter 'max_velocity' is 60.0, but must be from 0.05 to 6",
        ),
    ],
)
def test_a_parameter_file_that_does_not_fit_is_refused_by_node_and_parameter(on_arm, tmp_path, section, words):
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(section))
    running = on_arm(**{"params-file": path})
    running.must_end(1, within=UP)
    running.wait_for(f"^{words}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"port": "no_such_port"}, "so101_driver: cannot configure: .*no_such_port"),
        ({"robot-id": "stranger"}, "so101_driver: cannot configure: .*stranger"),
        ({"cameras": "{table: {path: no_such_image.png}}"}, "table: cannot configure: .*no_such_image.png"),
    ],
)
def test_what_a_node_refuses_is_one_sentence_of_that_node(on_arm, change, words):
    running = on_arm(**change)
    running.must_end(1, within=UP)
    running.wait_for(f"^{words}")
    assert "Traceback" not in running.output
