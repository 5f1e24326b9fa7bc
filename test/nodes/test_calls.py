"""Calls to servers whose first answers are lost, over real DDS."""

import threading
import time

import pytest
from rclpy.action import CancelResponse, GoalResponse
from std_srvs.srv import Trigger
from support.ros import MUTUAL_DISCOVERY, wait, wait_until

from prana_msgs.action import RunPolicy
from prana_ros.nodes import calls
from prana_ros.nodes.calls import Action, Goal, GoalRefusedError, NoAnswerError, call
from prana_ros.nodes.run_server import RunServer


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(calls, "REPEAT_TIME", 0.3)


class Server:
    """A service that carries everything out and whose first answers get lost."""

    def __init__(self, ros, lost: int) -> None:
        self.requests = 0
        self._lost = lost
        service = ros.node.create_service(Trigger, "trigger", self._handle)
        send = service.send_response
        service.send_response = lambda *answer: self.requests > self._lost and send(*answer)

    def _handle(self, _request, response):
        self.requests += 1
        response.success, response.message = True, f"answer {self.requests}"
        return response


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_request_is_made_again_until_it_is_answered(ros, lost):
    server = Server(ros, lost)
    client = ros.node.create_client(Trigger, "trigger")
    assert call(client, Trigger.Request(), wait, 20.0).message == f"answer {lost + 1}"
    assert server.requests == lost + 1


def test_who_is_not_there_or_never_answers_is_not_waited_for_without_end(ros):
    client = ros.node.create_client(Trigger, "trigger")
    with pytest.raises(NoAnswerError, match="there is no service trigger"):
        call(client, Trigger.Request(), wait, 0.5)
    Server(ros, lost=1000)
    with pytest.raises(NoAnswerError, match="no answer from trigger within 1 s"):
        call(client, Trigger.Request(), wait, 1.0)


class Leaky:
    """An action server's handle some of whose answers get lost."""

    def __init__(self, handle, **lost: int) -> None:
        self._handle, self._lost = handle, lost

    def __getattr__(self, name):
        method = getattr(self._handle, name)
        if not self._lost.get(name):
            return method
        self._lost[name] -= 1
        return lambda *arguments: None


class Policy:
    """Accepts goals as it is told; each runs until it is canceled or the test ends it."""

    def __init__(self, ros, accept: bool = True, **lost: int) -> None:
        self.goals: list = []
        self.canceled = threading.Event()
        answer = GoalResponse.ACCEPT if accept else GoalResponse.REJECT
        self._server = RunServer(ros.node, RunPolicy, "policy/run_policy", lambda _: answer, self._start, self._cancel)
        self._server._handle = Leaky(self._server._handle, **lost)
        self.action = Action(ros.node, RunPolicy, "policy/run_policy")
        assert self.action.client.wait_for_server(20.0)
        time.sleep(MUTUAL_DISCOVERY)

    def _start(self, goal) -> None:
        goal.execute()
        self.goals.append(goal)

    def _cancel(self, _goal) -> CancelResponse:
        self.canceled.set()
        return CancelResponse.ACCEPT

    def end(self) -> None:
        result = RunPolicy.Result(message="done", chunks=3)
        self._server.notify_execute(self.goals[0], lambda handle: (handle.succeed(), result)[1])


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_goal_whose_acceptance_is_lost_runs_once_and_its_result_is_heard(ros, lost):
    policy = Policy(ros, send_goal_response=lost)
    goal = Goal(policy.action, RunPolicy.Goal(task="pick"))
    goal.send(wait, 20.0)
    goal.request_result()
    policy.end()
    wait_until(lambda: goal.is_over, 20.0, lambda: "no result")
    assert (goal.result.message, len(policy.goals)) == ("done", 1)


def test_a_result_that_is_lost_is_there_when_it_is_asked_for_again(ros):
    policy = Policy(ros, send_result_response=1)
    goal = Goal(policy.action, RunPolicy.Goal())
    goal.send(wait, 20.0)
    policy.end()
    goal.request_result()
    assert not wait(lambda: goal.is_over, 0.5)
    goal.request_result()
    assert wait(lambda: goal.is_over, 20.0)
    assert goal.result.chunks == 3


def test_a_goal_is_canceled_although_its_acceptance_was_never_heard(ros):
    policy = Policy(ros, send_goal_response=1000)
    with pytest.raises(NoAnswerError, match="no answer from policy/run_policy within 1 s"):
        Goal(policy.action, RunPolicy.Goal()).send(lambda condition, seconds: wait(condition, min(seconds, 0.1)), 1.0)
    assert policy.canceled.wait(20.0)


def test_a_goal_is_canceled_when_its_sender_gives_up(ros):
    policy = Policy(ros, send_goal_response=1000)

    def give_up(condition, seconds):
        if not policy.goals:
            return wait(condition, 0.05)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Goal(policy.action, RunPolicy.Goal()).send(give_up, 20.0)
    assert policy.canceled.wait(20.0)


def test_a_goal_that_is_refused_is_said_to_be(ros):
    policy = Policy(ros, accept=False)
    with pytest.raises(GoalRefusedError, match="policy/run_policy refused the goal"):
        Goal(policy.action, RunPolicy.Goal()).send(wait, 20.0)


def test_a_server_that_is_a_new_one_does_not_know_the_goal(ros):
    policy = Policy(ros)
    goal = Goal(policy.action, RunPolicy.Goal())
    goal.request_result()
    assert wait(lambda: goal.is_over, 20.0)
    assert goal.result is None
