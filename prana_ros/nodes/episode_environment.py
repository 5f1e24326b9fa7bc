"""Where episodes take place in the running graph: the driver, the policy and, in simulation, the twin."""

import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.client import Client
from std_msgs.msg import String
from std_srvs.srv import Trigger

from prana_msgs.action import RunPolicy
from prana_msgs.msg import ArmState
from prana_msgs.srv import ResetScene
from prana_ros.episodes.series import SUCCESS, TIMEOUT, EnvironmentFailed, EpisodeResult, SeriesInterrupted
from prana_ros.nodes import qos
from prana_ros.nodes.calls import Action, Goal, GoalRefusedError, NoAnswerError, call
from prana_ros.nodes.lifecycle import PranaNode

POLL = 0.02
SETTLE_TIME = 0.5
"""Seconds after which every camera has shown the scene that was reset."""
ANSWER_TIME = 10.0
"""Seconds in which a service or an action must appear and answer."""
OVERTIME = 3.0
"""Seconds after an episode's time in which the policy must say how it ended."""
REST_TIME = 60.0
"""Seconds in which the arm must have reached its rest pose."""
_AT_REST = (ArmState.MODE_HOLDING, ArmState.MODE_TORQUE_OFF)


class RosEnvironment:
    """Calls the other nodes and waits for them, in the thread of the series.

    Durations are of the node's clock, which is simulated time where ``use_sim_time`` is set; only the wait for an
    answer is in real time.
    """

    def __init__(self, node: PranaNode) -> None:
        self._node = node
        self._interrupted = threading.Event()
        self._arm: ArmState | None = None
        self._outcome = TIMEOUT
        node.create_subscription(ArmState, "so101_driver/arm_state", self._take_arm, qos.LATCHED)
        self._go_to_rest = node.create_client(Trigger, "so101_driver/go_to_rest")
        self._run_policy = Action(node, RunPolicy, "policy/run_policy")
        if node.value("sim"):
            if not node.value("dry_run"):  # in which the policy has nothing to do with what the twin sees
                node.create_subscription(String, "twin/outcome", self._take_outcome, qos.LATCHED)
            self._reset_scene = node.create_client(ResetScene, "twin/reset_scene")

    def interrupt(self) -> None:
        """Make the call in progress, and every later one until ``resume``, raise :class:`SeriesInterrupted`."""
        self._interrupted.set()

    def resume(self) -> None:
        """Allow calls again."""
        self._interrupted.clear()

    @property
    def is_interrupted(self) -> bool:
        """Whether the series was told to end."""
        return self._interrupted.is_set()

    def reset(self, episode: int) -> None:
        """Bring the arm to rest; then put the twin's objects where the seed says, or give a person time to do so.

        Raises:
            EnvironmentFailed: a node refused or did not answer, or the arm did not arrive.
            SeriesInterrupted: the series is to end.
        """
        if not self._node.value("dry_run"):
            self._bring_to_rest()
        if self._node.value("sim"):
            self._outcome = TIMEOUT  # that of the episode before says nothing of this one
            request = ResetScene.Request(seed=self._node.value("seed") + episode)
            self._call(self._reset_scene, request, "the scene was not reset")
            self._sleep(SETTLE_TIME)
        else:
            self._sleep(self._node.value("reset_time"))

    def run(self, episode: int) -> EpisodeResult:
        """Let the policy drive the arm until the twin reports success, the time is over or something stops it.

        Raises:
            EnvironmentFailed: the policy refused or did not answer.
            SeriesInterrupted: the series is to end; the policy was told to stop.
        """
        request = RunPolicy.Goal(task=self._node.value("task"), time_limit=self._node.value("episode_time"))
        goal = Goal(self._run_policy, request)
        try:
            goal.send(self._until, ANSWER_TIME)
        except GoalRefusedError:
            raise EnvironmentFailed("the policy refused to run") from None
        except NoAnswerError as error:
            raise EnvironmentFailed(f"the policy did not run: {error}") from None
        return self._result_of(goal)

    def _result_of(self, goal: Goal) -> EpisodeResult:
        def over() -> bool:
            return goal.is_over or self._outcome == SUCCESS

        end = self._now() + self._node.value("episode_time") + OVERTIME
        goal.request_result()
        try:
            self._until(lambda: over() or self._now() > end)
            if not over():  # the answer may be lost
                goal.request_result()
                self._until(over, ANSWER_TIME)
        finally:
            if not goal.is_over:
                goal.cancel()
        if self._outcome == SUCCESS:
            self._until(lambda: goal.is_over, ANSWER_TIME)  # the arm is free then; that it was canceled is no news
            return EpisodeResult(SUCCESS)
        if not goal.is_over:
            raise EnvironmentFailed("the policy did not say how the episode ended")
        if goal.result is None:
            raise EnvironmentFailed("the policy was gone before the episode ended")
        return episode_result(goal.result, self._outcome)

    def _bring_to_rest(self) -> None:
        complaint = "the arm did not go to rest"
        # The policy tells the driver, not us, that it gives the arm back.
        self._until(lambda: self._arm is not None and not self._arm.owner, ANSWER_TIME)
        self._call(self._go_to_rest, Trigger.Request(), complaint)
        # Reports from before the call do not count, and the driver reports each change and once a second.
        self._arm = None
        end = self._now() + REST_TIME
        self._until(lambda: (self._arm is not None and self._arm.mode in _AT_REST) or self._now() > end)
        if self._arm is None or self._arm.mode not in _AT_REST:
            why = f": {self._arm.stop_message}" if self._arm and self._arm.stop_message else f" in {REST_TIME:.0f} s"
            raise EnvironmentFailed(complaint + why)

    def _call(self, client: Client, request: Any, complaint: str) -> None:
        try:
            answer = call(client, request, self._until, ANSWER_TIME)
        except NoAnswerError as error:
            raise EnvironmentFailed(f"{complaint}: {error}") from None
        if not answer.success:
            raise EnvironmentFailed(f"{complaint}: {answer.message}")

    def _until(self, condition: Callable[[], bool], patience: float = float("inf")) -> bool:
        """Wait for ``condition``, up to ``patience`` seconds of real time; return whether it holds."""
        end = time.monotonic() + patience
        while not condition():
            if self._interrupted.wait(POLL):
                raise SeriesInterrupted
            if time.monotonic() > end:
                return False
        return True

    def _sleep(self, seconds: float) -> None:
        end = self._now() + seconds
        self._until(lambda: self._now() >= end)

    def _now(self) -> float:
        return 1e-9 * self._node.now_ns()

    def _take_arm(self, msg: ArmState) -> None:
        self._arm = msg

    def _take_outcome(self, msg: String) -> None:
        self._outcome = msg.data


def episode_result(result: RunPolicy.Result, outcome: str) -> EpisodeResult:
    """Return how an episode ended that was not cut short by success; ``outcome``: its name where its time was over."""
    if result.outcome == RunPolicy.Result.OUTCOME_TIME_LIMIT:
        return EpisodeResult(outcome)
    if result.outcome == RunPolicy.Result.OUTCOME_STOPPED:
        return EpisodeResult(f"stopped: {result.message}", final=True)
    return EpisodeResult(f"aborted: {result.message}")
