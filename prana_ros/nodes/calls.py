"""Calls to other nodes that survive a lost answer: the one way to call a service or an action.

A server that has not discovered the reader of its answers yet sends them nowhere, so a request may have been carried
out although nothing is heard of it. A request that may be made twice is made again; a goal has an id of the caller's,
by which it is asked after and canceled although its acceptance was never heard. Every wait has a limit.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any, Self

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future

REPEAT_TIME = 2.0
"""Seconds after which an answer may have been lost."""

Wait = Callable[[Callable[[], bool], float], bool]
"""Waits for a condition up to a number of seconds of real time; returns whether it holds, and raises to give up.
Meanwhile the executor of the node that calls must run."""


class NoAnswerError(RuntimeError):
    """A node is not there or does not answer; the message is one sentence without a subject: what is missing."""


class GoalRefusedError(RuntimeError):
    """The server of an action refused a goal."""


class Call:
    """A request to a service that may be made again, because twice has the effect of once."""

    def __init__(self, client: Any, request: Any) -> None:
        self._client = client
        self._request = request
        self._answers: list[Future] = []

    def send(self) -> Self:
        """Make the request, once more if it was made before."""
        self._answers.append(self._client.call_async(self._request))
        return self

    @property
    def count(self) -> int:
        """How often the request was made."""
        return len(self._answers)

    @property
    def is_answered(self) -> bool:
        """Whether an answer has come."""
        return any(answer.done() for answer in self._answers)

    @property
    def is_settled(self) -> bool:
        """Whether each request was answered: none is still on its way to the server."""
        return all(answer.done() for answer in self._answers)

    @property
    def response(self) -> Any:
        """The answer that came first."""
        return next(answer for answer in self._answers if answer.done()).result()

    def complete(self, wait: Wait, limit: float) -> Any:
        """Make the request until it is answered, and return the answer.

        Raises:
            NoAnswerError: there is no such service, or no answer within ``limit`` seconds.
        """
        name, deadline = self._client.srv_name, time.monotonic() + limit
        if not wait(self._client.service_is_ready, limit):
            raise NoAnswerError(f"there is no service {name}")
        while True:
            self.send()
            remaining = deadline - time.monotonic()
            if wait(lambda: self.is_answered, min(REPEAT_TIME, max(remaining, 0.0))):
                return self.response
            if time.monotonic() >= deadline:
                raise NoAnswerError(f"no answer from {name} within {limit:.0f} s")


def call(client: Any, request: Any, wait: Wait, limit: float) -> Any:
    """Return the answer to a request that may be made twice; see :meth:`Call.complete`."""
    return Call(client, request).complete(wait, limit)


class Action:
    """An action of another node."""

    def __init__(self, node: Node, action_type: Any, name: str) -> None:
        self.name = name
        self.type = action_type
        self.client = ActionClient(node, action_type, name)


class Goal:
    """A goal of an action, known by an id that the caller chose."""

    def __init__(self, action: Action, request: Any) -> None:
        self._action = action
        self._request = request
        self._id = action.type.Impl.SendGoalService.Request().goal_id
        self._id.uuid = list(uuid.uuid4().bytes)
        # Works without an answer to the goal: everything that it sends carries the id.
        accepted = action.type.Impl.SendGoalService.Response(accepted=True)
        self._handle = ClientGoalHandle(action.client, self._id, accepted)
        self._results: list[Future] = []

    def send(self, wait: Wait, limit: float) -> None:
        """Send the goal until the server has it.

        If ``wait`` raises, or nothing is heard, the goal is canceled, should it still be accepted.

        Raises:
            GoalRefusedError: the server does not accept it.
            NoAnswerError: there is no such action, or no answer within ``limit`` seconds.
        """
        client, name, deadline = self._action.client, self._action.name, time.monotonic() + limit
        if not wait(client.server_is_ready, limit):
            raise NoAnswerError(f"there is no action {name}")
        acceptances: list[Future] = []
        settled = False
        try:
            while time.monotonic() < deadline:
                acceptances.append(client.send_goal_async(self._request, goal_uuid=self._id))
                acceptance = acceptances[-1]
                if wait(acceptance.done, min(REPEAT_TIME, max(deadline - time.monotonic(), 0.0))):
                    settled = True
                    # One that the server has already is not accepted a second time.
                    if acceptance.result().accepted or (len(acceptances) > 1 and self._is_known(wait)):
                        return
                    raise GoalRefusedError(f"{name} refused the goal")
            raise NoAnswerError(f"no answer from {name} within {limit:.0f} s")
        finally:
            if not settled:
                self.cancel()
                for acceptance in acceptances:
                    acceptance.add_done_callback(lambda _: self.cancel())

    def request_result(self) -> None:
        """Ask for the result; once more if it was asked for before, as the server keeps it for a while."""
        self._results.append(self._handle.get_result_async())

    @property
    def is_over(self) -> bool:
        """Whether a result has come."""
        return any(result.done() for result in self._results)

    @property
    def result(self) -> Any | None:
        """The result; ``None`` if the server does not know the goal, because it is a new one."""
        response = next(result for result in self._results if result.done()).result()
        return None if response.status == GoalStatus.STATUS_UNKNOWN else response.result

    def cancel(self) -> None:
        """Ask the server to end it."""
        self._handle.cancel_goal_async()

    def _is_known(self, wait: Wait) -> bool:
        """Whether the server has the goal: it answers at once about one that it does not have."""
        asked = self._handle.get_result_async()
        return not wait(asked.done, 1.0) or asked.result().status != GoalStatus.STATUS_UNKNOWN
