"""Policy node: the ROS shell around the inference core.

Subscribes to ``CAMERA/image_raw`` of each camera that the checkpoint names and to ``joint_states``; while the action
``~/run_policy`` is active it owns the arm and publishes plans to ``joint_trajectory``. Each inference is reported in
``~/chunk_report`` and drawn in ``~/preview`` (RViz markers). A dry run does all of it but moves nothing.
"""

import sys
import threading
import traceback

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.action import CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from prana_msgs.action import RunPolicy
from prana_msgs.msg import ChunkReport
from prana_ros.inference import gate
from prana_ros.inference.deployment import load_for_robot
from prana_ros.inference.engine import InferenceEngine
from prana_ros.inference.live_check import LiveCheck
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.inference.observations import ObservationBuffer
from prana_ros.inference.plan import NANOSECONDS, Plan
from prana_ros.inference.run import ChunkEvent, Outcome, Run, RunResult, RunSettings
from prana_ros.inference.threads import use_threads
from prana_ros.inference.trial import made_up_history, trial_prediction
from prana_ros.messages.policy import (
    chunk_event_to_msg,
    plan_to_msg,
    policy_diagnostics,
    preview_to_msg,
    run_result_to_msg,
)
from prana_ros.nodes import qos
from prana_ros.nodes.arm_client import ArmClient, ArmError
from prana_ros.nodes.diagnostics import DIAGNOSTICS_PERIOD, publish_diagnostics
from prana_ros.nodes.input_probe import first_observation
from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.policy_inputs import input_topics, subscribe_inputs
from prana_ros.nodes.policy_parameters import declare_parameters, declared_facts, denoising, engine_settings
from prana_ros.nodes.run_node import run_node
from prana_ros.nodes.run_server import RunServer, end_goal

OWNER = "policy"
"""The name under which the node acquires the arm."""
FEEDBACK_PERIOD = 0.5


class PolicyNode(PranaNode):
    """Runs one checkpoint; one goal of ``~/run_policy`` at a time."""

    _engine: InferenceEngine  # from configure to cleanup

    def __init__(self) -> None:
        super().__init__("policy")
        declare_parameters(self)
        self._buffer: ObservationBuffer | None = None
        self._run: Run | None = None
        self._goal: ServerGoalHandle | None = None
        self._thread: threading.Thread | None = None
        self._complaint = ""
        self._chunks = self._chunks_before = 0

    def configure(self) -> None:
        """Load the checkpoint through the gate, try it, and offer the action."""
        use_threads(self.value("torch_threads"))
        policy = self._load()
        self._engine = InferenceEngine(policy, engine_settings(self))
        self._engine.warm_up()
        self._commands = self.create_lifecycle_publisher(JointTrajectory, "joint_trajectory", qos.TRAJECTORY)
        self._reports = self.create_lifecycle_publisher(ChunkReport, "~/chunk_report", qos.REPORT)
        self._preview = self.create_lifecycle_publisher(MarkerArray, "~/preview", qos.REPORT)
        self._topics = input_topics(self, policy.spec.cameras)
        subscribe_inputs(self, self._topics, lambda: self._buffer)
        self._arm = ArmClient(self, OWNER, self.value("heartbeat_timeout"), self._lose_arm)
        self._server = RunServer(self, RunPolicy, "~/run_policy", self._judge_goal, self._start_run, self._cancel_run)
        self.create_service(Trigger, "~/reset", self._reset)
        publish_diagnostics(self, self._diagnose)
        self.create_timer(FEEDBACK_PERIOD, self._publish_feedback)
        self.get_logger().info(f"loaded {policy.spec.kind}, p95 of one inference {self._engine.latency.p95:.3f} s")

    def activate(self) -> None:
        """Try the policy on what the inputs really send, then take in observations; a run acquires the arm, later."""
        self._engine.change(engine_settings(self))
        self._require_live_inputs()
        self._buffer = self._new_buffer()

    def deactivate(self) -> None:
        """End the run in progress."""
        if self._run is not None:
            self._run.end(Outcome.CANCELED, "The policy node was deactivated.")
        if self._thread is not None:
            self._thread.join()
        self._buffer = None

    def cleanup(self) -> None:
        """Free the policy's memory."""
        if hasattr(self, "_engine"):
            del self._engine

    # -- configuration -------------------------------------------------------------------------------------------------

    def _load(self) -> LoadedPolicy:
        """The checkpoint, through the gate."""
        policy, robot = load_for_robot(
            self.value("policy_path"), self.value("device"), declared_facts(self), denoising(self)
        )
        gate.require(policy.spec, robot, self.value("allow_unfitted_noise"))
        if sentences := trial_prediction(policy, made_up_history(policy.spec)):
            raise gate.GateError(" ".join(sentences))
        return policy

    # -- inputs --------------------------------------------------------------------------------------------------------

    def _new_buffer(self) -> ObservationBuffer:
        spec, step_ns = self._engine.policy.spec, self._engine.step_ns
        return ObservationBuffer(spec.cameras, step_ns, spec.observation_steps, self.value("max_input_age"))

    def _require_live_inputs(self) -> None:
        """Refuse inputs that are missing or do not suit the policy, and a policy that fails on them."""
        policy = self._engine.policy
        assert isinstance(policy, LoadedPolicy)  # as configure loaded it
        check = LiveCheck(policy.spec, NANOSECONDS / self._engine.step_ns, self.value("min_camera_rate"))
        waits = self.value("activation_timeout"), self.value("input_timeout")
        observation = first_observation(self, self._topics, self._new_buffer(), check, *waits)
        if sentences := trial_prediction(policy, observation.history):
            raise ValueError(" ".join(sentences))

    def _lose_arm(self, sentence: str) -> None:
        if (run := self._run) is not None:
            run.end(Outcome.STOPPED, sentence)

    # -- the action ----------------------------------------------------------------------------------------------------

    def _judge_goal(self, goal: RunPolicy.Goal) -> GoalResponse:
        if self.is_active and self._run is None and goal.time_limit >= 0.0:
            return GoalResponse.ACCEPT
        reason = (
            "it is running already" if self._run else "it is not active" if not self.is_active else "bad time_limit"
        )
        self.get_logger().warning(f"a goal to run the policy is refused: {reason}")
        return GoalResponse.REJECT

    def _start_run(self, goal: ServerGoalHandle) -> None:
        assert self._buffer is not None  # goals are accepted while the node is active
        settings = RunSettings(self.value("input_timeout"), self.value("state_margin"), self.value("dry_run"))
        goal.execute()
        self._goal = goal
        self._run = Run(self._engine, self._buffer, self, self.now_ns, settings)
        self._thread = threading.Thread(target=self._drive, args=(goal, self._run), name="inference", daemon=True)
        self._thread.start()

    def _drive(self, goal: ServerGoalHandle, run: Run) -> None:
        """The inference thread: one run from acquiring the arm to releasing it."""
        try:
            if not self.value("dry_run"):
                self._arm.acquire(lambda: run.is_ending)
            result = run.execute(goal.request.task, goal.request.time_limit)
        except ArmError as error:
            result = RunResult(Outcome.CANCELED if run.is_ending else Outcome.ERROR, str(error), 0)
        except Exception as error:
            self.get_logger().error(traceback.format_exc())
            result = RunResult(Outcome.ERROR, f"The run broke off: {error!r}.", run.chunks)
        self._arm.release()
        self.get_logger().info(f"run over: {result.message}")
        self._complaint = result.message if result.outcome in (Outcome.ERROR, Outcome.INPUT_LOST) else ""
        self._run = self._goal = None
        self._server.notify_execute(goal, lambda handle: _ended(handle, result))

    def _cancel_run(self, _goal: ServerGoalHandle) -> CancelResponse:
        if (run := self._run) is not None:
            run.end(Outcome.CANCELED, "The run was ended by its client.")
        return CancelResponse.ACCEPT

    def _reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if (run := self._run) is not None:
            run.restart()
        response.success = True
        response.message = "The next chunk starts afresh."
        return response

    # -- the run's commander -------------------------------------------------------------------------------------------

    def send(self, plan: Plan) -> None:
        """Publish a plan under the owner's name."""
        self._commands.publish(plan_to_msg(plan, OWNER))

    def heartbeat(self) -> None:
        """Tell the driver that its commander is alive."""
        self._arm.heartbeat()

    def report(self, event: ChunkEvent) -> None:
        """Publish the outcome of an inference."""
        self._reports.publish(chunk_event_to_msg(event, self._engine.policy.spec.denoising_steps))
        if event.chunk is None:
            self._complaint = event.reason
            return
        self._complaint = ""
        self._chunks += 1
        if self._preview.get_subscription_count():
            self._preview.publish(
                preview_to_msg(event.chunk.plan, event.chunk.prefix_length, self.value("frame_prefix"))
            )

    # -- timers --------------------------------------------------------------------------------------------------------

    def _publish_feedback(self) -> None:
        run, goal = self._run, self._goal
        if run is not None and goal is not None:
            elapsed = (self.now_ns() - run.started_ns) / NANOSECONDS
            goal.publish_feedback(RunPolicy.Feedback(chunks=run.chunks, elapsed=elapsed))

    def _diagnose(self) -> list[DiagnosticStatus]:
        if self._buffer is None:
            return []
        rate = (self._chunks - self._chunks_before) / DIAGNOSTICS_PERIOD
        self._chunks_before = self._chunks
        message = self._complaint or ("running" if self._run is not None else "idle")
        name, kind = self.get_fully_qualified_name(), self._engine.policy.spec.kind
        latency, lost = self._engine.latency.p95, self._buffer.lost()
        return [policy_diagnostics(name, kind, rate, latency, lost, message, not self._complaint)]


def _ended(goal: ServerGoalHandle, result: RunResult) -> RunPolicy.Result:
    """End a goal: a run that lasted until its time limit has succeeded."""
    end_goal(goal, succeeded=result.outcome is Outcome.TIME_LIMIT)
    return run_result_to_msg(result)


def main() -> None:
    """Run the node."""
    sys.exit(run_node(PolicyNode))


if __name__ == "__main__":
    main()
