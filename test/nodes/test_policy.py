"""The policy node as a process of its own, over real DDS, with a small PRANA v2 checkpoint of random weights."""

import re
import signal
from pathlib import Path

import numpy as np
import pytest
from action_msgs.msg import GoalStatus, GoalStatusArray
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from safetensors.torch import load_file, save_file
from std_srvs.srv import Trigger
from support.checkpoints import save_act, save_prana
from support.policies import NAMES
from support.processes import Processes
from support.robot import DriverSide, Robot
from support.ros import RosProbe, wait_until
from visualization_msgs.msg import Marker, MarkerArray

from prana_msgs.action import RunPolicy
from prana_msgs.msg import ChunkReport
from prana_ros.inference.plan import Plan, replaced
from prana_ros.messages.standard import ns_from_stamp
from prana_ros.nodes import qos
from prana_ros.policies.chunk_policy import WEIGHTS_FILE
from prana_ros.so101.kinematics import forward
from prana_ros.so101.model import JOINT_NAMES

MODULE = "prana_ros.nodes.policy"
LONG = 300.0
"""Seconds for a process that imports PyTorch on a busy machine."""
STEPS = 2
"""Denoising steps, of which the checkpoint has 4."""
EVERY_STATUS = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CANCELED, STOPPED = RunPolicy.Result.OUTCOME_CANCELED, RunPolicy.Result.OUTCOME_STOPPED

pytestmark = pytest.mark.timeout(900)


class Policy:
    """A policy node that is active, and what it publishes."""

    def __init__(self, ros: RosProbe, processes: Processes, checkpoint: Path, **parameters: object) -> None:
        self.ros = ros
        # A busy machine is slow, and slowness is not what is tested here.
        patient = {"max_input_age": 5.0, "input_timeout": 5.0, "activation_timeout": 60.0, "min_camera_rate": 0.0}
        patient |= {"device": "cpu", "torch_threads": 1}
        self.process = processes.node(MODULE, {"policy_path": checkpoint, **patient, **parameters})
        self.reports = ros.collect("policy/chunk_report", ChunkReport, qos.REPORT)
        self.action = ros.action("policy/run_policy", RunPolicy, LONG) if self._walk() else None

    def _walk(self) -> bool:
        assert self.ros.change_state("policy", "configure", LONG), self.process.output
        return self.ros.change_state("policy", "activate")

    def run(self, time_limit: float = 0.0, feedback=None):
        """Start a run; return its goal handle once it was accepted."""
        goal = RunPolicy.Goal(task="test", time_limit=time_limit)
        handle = self.ros.result(self.action.send_goal_async(goal, feedback_callback=feedback), LONG)
        assert handle.accepted
        return handle

    def result(self, handle):
        """Status and result of a run that is over."""
        response = self.ros.result(handle.get_result_async(), LONG)
        return response.status, response.result

    def published(self) -> list[ChunkReport]:
        return [report for report in self.reports.messages if report.published]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_prana(tmp_path_factory.mktemp("policy") / "checkpoint")


@pytest.fixture
def robot(ros):
    robot = Robot(ros)
    yield robot
    robot.close()


@pytest.fixture
def driver(ros):
    return DriverSide(ros)


@pytest.mark.parametrize("mode", ["continuous", "rolling"])
def test_a_run_owns_the_arm_sends_chunks_and_gives_it_back(ros, processes, robot, driver, checkpoint, mode):
    preview = ros.collect("policy/preview", MarkerArray, qos.REPORT)
    diagnostics = ros.collect("/diagnostics", DiagnosticArray, qos.DIAGNOSTICS)
    statuses = ros.collect("policy/run_policy/_action/status", GoalStatusArray, EVERY_STATUS)
    policy = Policy(ros, processes, checkpoint, mode=mode, denoising_steps=STEPS)
    feedback = []
    handle = policy.run(time_limit=4.0, feedback=lambda msg: feedback.append(msg.feedback))
    wait_until(lambda: driver.ownership.owner == "policy", LONG, lambda: "the arm was not acquired")
    statuses.wait_for(lambda msg: [goal.status for goal in msg.status_list] == [GoalStatus.STATUS_EXECUTING])
    status, result = policy.result(handle)
    assert (status, result.outcome) == (GoalStatus.STATUS_SUCCEEDED, RunPolicy.Result.OUTCOME_TIME_LIMIT)
    wait_until(lambda: driver.ownership.owner == "", 20.0, lambda: "the arm was not given back")
    reports = policy.published()
    assert result.chunks >= len(reports) > 2
    assert feedback[-1].chunks > 0
    _check_reports(reports)
    _check_trajectories(driver.trajectories.messages, reports)
    gray, green = preview.messages[-1].markers
    assert (gray.type, green.type) == (Marker.LINE_STRIP, Marker.LINE_STRIP)
    plan = driver.trajectories.messages[len(preview.messages) - 1]
    tip = forward(np.array(plan.points[-1].positions))[:3, 3]
    np.testing.assert_allclose([green.points[-1].x, green.points[-1].y, green.points[-1].z], tip, atol=1e-9)
    line = diagnostics.wait_for(lambda msg: any("policy" in s.name for s in msg.status)).status[0]
    assert "chunks per second" in {value.key for value in line.values}


def _check_reports(reports: list[ChunkReport]) -> None:
    assert [report.chunk_id for report in reports] == sorted({report.chunk_id for report in reports})
    stamps = [ns_from_stamp(report.header.stamp) for report in reports]
    assert stamps == sorted(set(stamps))
    for report in reports:
        inputs = {entry.name: entry for entry in report.inputs}
        assert set(inputs) == {"table", "wrist", "joint_states"}
        oldest, newest = (f(ns_from_stamp(entry.stamp) for entry in report.inputs) for f in (min, max))
        assert oldest <= ns_from_stamp(report.header.stamp) <= newest
        assert np.isclose(report.skew, (newest - oldest) / 1e9, atol=1e-6)
        assert all(0 < entry.age < 5 and entry.frames_received > 0 for entry in report.inputs)
        stages = report.preprocess_time + report.context_time + report.denoise_time + report.postprocess_time
        assert min(report.preprocess_time, report.context_time, report.denoise_time, report.postprocess_time) > 0
        assert stages <= report.latency
        assert report.denoising_steps == STEPS
    first, *others = reports
    assert first.prefix_length == 0
    assert len(first.seam_position_step) == 0
    assert all(len(report.seam_position_step) == len(report.seam_velocity_step) == 6 for report in others)
    assert any(report.prefix_length > 0 for report in others)


def _check_trajectories(trajectories: list, reports: list[ChunkReport]) -> None:
    *chunks, halt = trajectories
    assert len(chunks) == len(reports)
    for chunk, report in zip(chunks, reports, strict=True):
        assert chunk.header.frame_id == "policy"
        assert chunk.header.stamp == report.header.stamp
        assert tuple(chunk.joint_names) == JOINT_NAMES
        times = [ns_from_stamp(point.time_from_start) for point in chunk.points]
        assert times == [i * 100_000_000 for i in range(16)]
        assert all(np.isfinite(point.positions).all() and not point.velocities for point in chunk.points)
    assert len(halt.points) == 2
    running = None
    for chunk, report in zip(chunks, reports, strict=True):
        times = [ns_from_stamp(chunk.header.stamp) + ns_from_stamp(point.time_from_start) for point in chunk.points]
        plan = Plan(np.array(times), np.array([point.positions for point in chunk.points]))
        if running is not None:
            given = running.at(plan.times_ns[: report.prefix_length])
            np.testing.assert_allclose(plan.positions[: report.prefix_length], given, atol=1e-5)
        running = replaced(running, plan, plan.start_ns + round(report.latency * 1e9))


def test_the_arm_is_kept_by_heartbeats(ros, processes, robot, driver, checkpoint):
    policy = Policy(ros, processes, checkpoint, heartbeat_timeout=1.5)
    handle = policy.run()
    wait_until(lambda: len(driver.heartbeats) > 3, LONG, lambda: f"{len(driver.heartbeats)} heartbeats")
    assert set(driver.heartbeats) == {1.5}
    ros.result(handle.cancel_goal_async())
    policy.result(handle)


def test_cancelling_gives_the_arm_back_and_another_run_may_follow(ros, processes, robot, driver, checkpoint):
    policy = Policy(ros, processes, checkpoint)
    for _ in range(2):
        handle = policy.run()
        count = len(policy.published())
        wait_until(lambda: len(policy.published()) > count, LONG, lambda: "no chunk came")  # noqa: B023
        second = ros.result(policy.action.send_goal_async(RunPolicy.Goal()))
        assert not second.accepted
        assert ros.call("policy/reset", Trigger).success
        ros.result(handle.cancel_goal_async())
        status, result = policy.result(handle)
        assert (status, result.outcome) == (GoalStatus.STATUS_CANCELED, CANCELED)
        wait_until(lambda: driver.ownership.owner == "", 20.0, lambda: "the arm was not given back")


def test_a_stop_and_a_takeover_end_the_run_with_the_driver_s_reason(ros, processes, robot, driver, checkpoint):
    policy = Policy(ros, processes, checkpoint)
    for end, sentence in (
        (lambda: driver.stop("Motor 3 is at 75 °C."), "75 °C"),
        (driver_to_leader(driver), "'leader'"),
    ):
        count = len(policy.published())
        handle = policy.run()
        wait_until(lambda: len(policy.published()) > count, LONG, lambda: "no chunk came")  # noqa: B023
        end()
        status, result = policy.result(handle)
        assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, STOPPED)
        assert sentence in result.message
        driver.ownership.revoke()


def driver_to_leader(driver: DriverSide):
    return lambda: driver.take_over("leader")


def test_an_arm_that_belongs_to_somebody_else_is_not_moved(ros, processes, robot, driver, checkpoint):
    driver.take_over("replay")
    policy = Policy(ros, processes, checkpoint)
    status, result = policy.result(policy.run())
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, RunPolicy.Result.OUTCOME_ERROR)
    assert result.message == "The arm belongs to 'replay'; 'policy' must wait until it is released."
    assert driver.trajectories.messages == []


def test_without_a_driver_the_run_fails_in_one_sentence(ros, processes, robot, checkpoint):
    policy = Policy(ros, processes, checkpoint)
    _, result = policy.result(policy.run())
    assert "The driver did not give the arm: there is no service so101_driver/acquire." in result.message


def test_inputs_that_fail_end_the_run_with_their_names(ros, processes, robot, driver, checkpoint):
    policy = Policy(ros, processes, checkpoint, max_input_age=1.0, input_timeout=2.0)
    cases = [
        (lambda: robot.silent.add("wrist"), "'wrist'"),
        (lambda: robot.frozen.add("table"), "'table' is frozen"),
        (lambda: robot.joints.__setitem__(2, np.nan), "no finite position of elbow_flex"),
        (lambda: setattr(robot, "encoding", "yuv422"), "cannot be used: an image of encoding 'yuv422'"),
    ]
    joints = robot.joints.copy()
    for fail, sentence in cases:
        count = len(policy.published())
        handle = policy.run()
        wait_until(lambda: len(policy.published()) > count, LONG, lambda: "no chunk came")  # noqa: B023
        fail()
        status, result = policy.result(handle)
        assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, RunPolicy.Result.OUTCOME_INPUT_LOST)
        assert sentence in result.message
        assert policy.reports.wait_for(lambda report: not report.published and sentence in report.reason)  # noqa: B023
        robot.silent.clear()
        robot.frozen.clear()
        robot.joints, robot.encoding = joints.copy(), "rgb8"


UNSUITABLE = [
    (
        lambda robot: robot.silent.add("wrist"),
        "Input 'wrist' has sent nothing in 4 s: /wrist/image_raw has 1 publisher",
    ),
    (lambda robot: robot.silent.add("joint_states"), "Input 'joint_states' has sent nothing in 4 s: /joint_states has"),
    (lambda robot: robot.frozen.add("table"), r"Input 'table' is frozen: \d+ images came with the same stamp"),
    (lambda robot: setattr(robot, "encoding", "yuv422"), "Input 'table' cannot be used: an image of encoding 'yuv422'"),
    (lambda robot: setattr(robot, "names", JOINT_NAMES[:5]), "Input 'joint_states' lacks the position of gripper"),
    (lambda robot: robot.joints.__setitem__(2, np.nan), "gives no finite position of elbow_flex"),
    (
        lambda robot: robot.size.update(wrist=(96, 128)),
        "'wrist' gives images of 128x96x3; the policy was trained on 64x48",
    ),
    (
        lambda robot: robot.period.update(table=0.8),
        r"Camera 'table' gives [01]\.\d images a second, a policy of 10 actions a second needs at least 4\.0",
    ),
]
"""What a robot may send that no policy can act on, and what an activation says of it."""


@pytest.mark.usefixtures("measures_time")
def test_inputs_that_do_not_suit_are_refused_before_torque_and_mended_ones_accepted(ros, processes, driver, checkpoint):
    parameters = {"policy_path": checkpoint, "device": "cpu", "torch_threads": 1, "activation_timeout": 4.0}
    node = processes.node(MODULE, {**parameters, "max_input_age": 5.0, "input_timeout": 5.0})
    assert ros.change_state("policy", "configure", LONG), node.output
    assert not ros.change_state("policy", "activate")
    node.wait_for(
        "cannot activate: Input 'table' has sent nothing in 4 s: nobody publishes /table/image_raw. Input 'wrist'"
    )
    for spoil, sentence in UNSUITABLE:
        robot = Robot(ros)
        try:
            spoil(robot)
            assert not ros.change_state("policy", "activate"), sentence
            node.wait_for(f"cannot activate: .*{sentence}")
            assert ros.state("policy") == "inactive"
        finally:
            robot.close()
    assert "Traceback" not in node.output
    robot = Robot(ros)
    try:
        assert ros.change_state("policy", "activate"), node.output
        action = ros.action("policy/run_policy", RunPolicy, LONG)
        handle = ros.result(action.send_goal_async(RunPolicy.Goal(time_limit=2.0)), LONG)
        assert ros.result(handle.get_result_async(), LONG).status == GoalStatus.STATUS_SUCCEEDED
        assert driver.trajectories.messages
    finally:
        robot.close()


def test_a_slow_camera_is_accepted_on_purpose(ros, processes, robot, checkpoint):
    robot.period["table"] = 0.8
    node = processes.node(MODULE, {"policy_path": checkpoint, "device": "cpu", "min_camera_rate": 0.0})
    assert ros.change_state("policy", "configure", LONG), node.output
    assert ros.change_state("policy", "activate"), node.output


def test_a_policy_that_fails_on_the_first_real_observation_is_refused_before_torque(ros, processes, robot, tmp_path):
    folder = save_prana(tmp_path / "checkpoint")
    weights = load_file(folder / WEIGHTS_FILE)
    # Too large for any pan but that of made-up observations, which is zero.
    weights["network.state_in.weight"][:, 0] = 1e38
    save_file(weights, folder / WEIGHTS_FILE)
    robot.joints[0] = 0.3
    node = processes.node(MODULE, {"policy_path": folder, "device": "cpu", "torch_threads": 1, "max_input_age": 5.0})
    assert ros.change_state("policy", "configure", LONG), node.output
    assert not ros.change_state("policy", "activate")
    node.wait_for("cannot activate: In a trial prediction, the policy returns positions that are not finite")


def test_the_inputs_are_looked_at_where_the_node_listens(ros, processes, robot, checkpoint):
    """In its namespace, and along its remappings, which move joint states and table camera out of it."""
    remappings = ("__ns:=/arm", "__node:=policy", "joint_states:=/joint_states", "table/image_raw:=/table/image_raw")
    arguments = [word for rule in remappings for word in ("-r", rule)]
    parameters = {"policy_path": checkpoint, "device": "cpu", "max_input_age": 5.0, "activation_timeout": 4.0}
    node = processes.node(MODULE, parameters, *arguments)
    assert ros.change_state("arm/policy", "configure", LONG), node.output
    assert not ros.change_state("arm/policy", "activate")
    said = node.wait_for("cannot activate: .*").group(0)
    assert re.search(r"Input 'wrist' has sent nothing in \d+ s: nobody publishes /arm/wrist/image_raw.$", said)
    assert "'table'" not in said
    assert "'joint_states'" not in said
    beside = [name for name in ros.node.get_node_names() if "policy" in name]
    assert beside == ["policy"]


def test_a_camera_of_another_size_and_an_arm_out_of_range_are_refused(ros, processes, robot, driver, checkpoint):
    policy = Policy(ros, processes, checkpoint)
    robot.joints[1] = 1.7
    _, result = policy.result(policy.run())
    assert "'shoulder_lift' is at 97.4, the policy was trained from -14.0 to 34.0" in result.message
    robot.joints[1] = 0.1
    robot.size["wrist"] = (96, 128)
    _, result = policy.result(policy.run())
    assert "'wrist' gives images of 128x96x3; the policy was trained on 64x48x3" in result.message
    assert driver.trajectories.messages == []


def test_a_dry_run_shows_what_it_would_do_and_moves_nothing(ros, processes, robot, driver, checkpoint):
    preview = ros.collect("policy/preview", MarkerArray, qos.REPORT)
    policy = Policy(ros, processes, checkpoint, dry_run=True)
    _, result = policy.result(policy.run(time_limit=3.0))
    assert result.outcome == RunPolicy.Result.OUTCOME_TIME_LIMIT
    assert {(report.published, report.reason) for report in policy.reports.messages} == {(False, "dry run")}
    preview.wait()
    assert driver.trajectories.messages == []
    assert driver.heartbeats == []


def test_another_lerobot_policy_runs_in_the_same_node(ros, processes, robot, driver, tmp_path):
    told = {"joint_names": NAMES, "units": "degrees", "fps": 10.0}
    policy = Policy(ros, processes, save_act(tmp_path / "act"), **told)
    _, result = policy.result(policy.run(time_limit=4.0))
    assert result.outcome == RunPolicy.Result.OUTCOME_TIME_LIMIT, result.message
    assert len(driver.trajectories.messages) > 2
    assert {report.prefix_length for report in policy.published()} == {0}
    assert all(len(plan.points) == 12 for plan in driver.trajectories.messages[:-1])


def test_deactivating_and_a_signal_end_the_run_and_give_the_arm_back(ros, processes, robot, driver, checkpoint):
    policy = Policy(ros, processes, checkpoint)
    handle = policy.run()
    wait_until(lambda: bool(policy.published()), LONG, lambda: "no chunk came")
    assert ros.change_state("policy", "deactivate")
    _, result = policy.result(handle)
    assert (result.outcome, result.message) == (CANCELED, "The policy node was deactivated.")
    wait_until(lambda: driver.ownership.owner == "", 20.0, lambda: "the arm was not given back")
    assert not ros.result(policy.action.send_goal_async(RunPolicy.Goal())).accepted
    assert ros.change_state("policy", "activate")
    policy.run()
    wait_until(lambda: driver.ownership.owner == "policy", LONG, lambda: "the arm was not acquired")
    policy.process.send(signal.SIGINT)
    policy.process.must_end(0, within=LONG)
    wait_until(lambda: driver.ownership.owner == "", 20.0, lambda: "the arm was not given back")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"policy_path": "nowhere"}, "policy_path 'nowhere' is not a folder here"),
        ({"cameras": ["front"]}, "needs camera table, wrist, this robot has front"),
        ({"overlap_steps": 16}, "overlap_steps is 16, but must be from 0 to 15"),
        ({"playback_rate": 0.0}, "parameter 'playback_rate' is 0.0, but must be from 0.01 to 10"),
    ],
)
def test_what_does_not_fit_is_refused_at_configure(ros, processes, checkpoint, changes, sentence):
    node = processes.node(MODULE, {"policy_path": checkpoint, "device": "cpu", **changes})
    assert not ros.change_state("policy", "configure", LONG)
    node.wait_for("cannot configure: .*" + sentence)
    assert "Traceback" not in node.output


@pytest.mark.parametrize(
    ("checkpoint_changes", "sentence"),
    [
        ({"joint_names": [NAMES[1], NAMES[0], *NAMES[2:]]}, "joints are shoulder_lift, shoulder_pan"),
        ({"fitted": False}, "noise_is_fitted is false"),
    ],
)
def test_a_checkpoint_for_another_robot_is_refused_at_configure(ros, processes, tmp_path, checkpoint_changes, sentence):
    checkpoint = save_prana(tmp_path / "checkpoint", **checkpoint_changes)
    node = processes.node(MODULE, {"policy_path": checkpoint, "device": "cpu"})
    assert not ros.change_state("policy", "configure", LONG)
    node.wait_for("cannot configure: .*" + sentence)


def test_a_policy_whose_trial_prediction_fails_is_refused_at_configure(ros, processes, tmp_path):
    folder = save_prana(tmp_path / "checkpoint")
    for path in folder.glob("policy_*normalizer_processor.safetensors"):
        statistics = load_file(path)
        statistics["action.mean"][2] = statistics["action.std"][2] = 3e38  # finite, but not their sum
        save_file(statistics, path)
    node = processes.node(MODULE, {"policy_path": folder, "device": "cpu", "allow_unfitted_noise": True})
    assert not ros.change_state("policy", "configure", LONG)
    node.wait_for("cannot configure: In a trial prediction, .* positions that are not finite for elbow_flex")
