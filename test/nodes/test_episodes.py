"""The episodes node, with the rest of the graph played by the test."""

import threading

import pytest
from rclpy.action import CancelResponse, GoalResponse
from std_msgs.msg import String
from std_srvs.srv import Trigger
from support.ros import wait_until

from prana_msgs.action import RunPolicy
from prana_msgs.msg import ArmState, EpisodeStatus
from prana_msgs.srv import ResetScene
from prana_ros.nodes import qos
from prana_ros.nodes.run_server import RunServer

MODULE = "prana_ros.nodes.episodes"
QUICK = {"episode_time": 0.2, "reset_time": 0.0}


class Graph:
    """A driver whose arm is always at rest, and a policy that ends each goal as it is told, or not at all."""

    def __init__(self, ros, *results: RunPolicy.Result | None) -> None:
        self.results = list(results)
        self.goals: list[object] = []
        self.canceled = threading.Event()
        self._ros = ros
        self._state = ros.node.create_publisher(ArmState, "so101_driver/arm_state", qos.LATCHED)
        ros.node.create_service(Trigger, "so101_driver/go_to_rest", self._accept)
        ros.node.create_service(ResetScene, "twin/reset_scene", self._accept)
        ros.node.create_timer(0.05, lambda: self._state.publish(ArmState(mode=ArmState.MODE_HOLDING)))
        self._server = RunServer(
            ros.node, RunPolicy, "policy/run_policy", lambda goal: GoalResponse.ACCEPT, self._run, self._cancel
        )

    @staticmethod
    def _accept(_request, response):
        response.success = True
        return response

    def _run(self, goal) -> None:
        goal.execute()
        self.goals.append(goal)
        result = self.results.pop(0)
        if result is not None:
            self._server.notify_execute(goal, lambda handle: (handle.succeed(), result)[1])

    def _cancel(self, _goal) -> CancelResponse:
        self.canceled.set()
        return CancelResponse.ACCEPT


def ended(outcome: int, message: str = "") -> RunPolicy.Result:
    return RunPolicy.Result(outcome=outcome, message=message)


TIME_LIMIT = ended(RunPolicy.Result.OUTCOME_TIME_LIMIT)


@pytest.fixture
def start(processes, ros):
    def start_node(**parameters):
        node = processes.node(MODULE, {**QUICK, **parameters})
        assert ros.change_state("episodes", "configure"), node.output
        assert ros.change_state("episodes", "activate"), node.output
        return node

    return start_node


def test_each_outcome_is_said_when_its_episode_ends(start, ros):
    Graph(ros, TIME_LIMIT, TIME_LIMIT, None)
    node = start(episodes=3, episode_time=60.0)
    node.wait_for("episode 2 of 3: timeout")
    assert [line.split("]: ")[1] for line in node.output.splitlines() if "episode " in line] == [
        "episode 1 of 3: timeout",
        "episode 2 of 3: timeout",
    ]
    assert node.returncode is None


def test_an_arm_that_was_stopped_ends_the_process_with_a_code_of_its_own(start, ros):
    Graph(ros, ended(RunPolicy.Result.OUTCOME_STOPPED, "overload of the gripper"))
    node = start(episodes=3)
    node.must_end(3)
    assert "episode 1 of 3: stopped: overload of the gripper" in node.output
    assert "episode 2" not in node.output


def test_a_deactivated_node_stays_and_begins_anew_when_it_is_activated(start, ros):
    graph = Graph(ros, None)
    status = ros.collect("episodes/status", EpisodeStatus, qos.REPORT)
    node = start(episodes=2, episode_time=60.0)
    wait_until(lambda: graph.goals, 20.0, lambda: node.output)
    assert ros.change_state("episodes", "deactivate")
    assert graph.canceled.wait(10.0)
    assert ros.state("episodes") == "inactive"
    assert "episode 1 of 2: aborted: interrupted" in node.output
    graph.results = [TIME_LIMIT, TIME_LIMIT]
    status.messages.clear()
    assert ros.change_state("episodes", "activate")
    node.must_end(0)
    assert "episode 2 of 2: timeout" in node.output
    assert list(status.messages[-1].outcomes) == ["timeout", "timeout"]


def test_a_policy_that_never_says_how_an_episode_ended_is_not_waited_for_without_end(start, ros):
    graph = Graph(ros, None)
    node = start(episodes=1)
    node.must_end(3, within=60.0)
    assert "episode 1 of 1: aborted: the policy did not say how the episode ended" in node.output
    assert graph.canceled.is_set()


def test_what_the_twin_sees_says_nothing_of_a_dry_run(start, ros):
    Graph(ros, TIME_LIMIT, TIME_LIMIT)
    outcome = ros.node.create_publisher(String, "twin/outcome", qos.LATCHED)
    ros.node.create_timer(0.02, lambda: outcome.publish(String(data="missed")))
    for dry_run, expected in ((False, "missed"), (True, "timeout")):
        node = start(sim=True, dry_run=dry_run)
        node.must_end(0)
        assert f"episode 1 of 1: {expected}" in node.output
