"""A node in the test process that calls services, watches topics and walks lifecycle nodes through their states."""

import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from prana_ros.nodes.calls import Call, call

TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}
_SHUTDOWN = {
    State.PRIMARY_STATE_UNCONFIGURED: Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    State.PRIMARY_STATE_INACTIVE: Transition.TRANSITION_INACTIVE_SHUTDOWN,
    State.PRIMARY_STATE_ACTIVE: Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


_AFTER = {"configure": "inactive", "activate": "active", "deactivate": "inactive", "cleanup": "unconfigured"}
LOST = 15.0
"""Seconds after which an answer may have been lost."""


class Collector:
    """Messages of one topic, in the order in which they came."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def wait(self, count: int = 1, timeout: float = 20.0) -> list[Any]:
        """Return the messages once there are at least `count`."""
        wait_until(lambda: len(self.messages) >= count, timeout, lambda: f"{len(self.messages)} messages came")
        return self.messages

    def wait_for(self, accept: Callable[[Any], bool], timeout: float = 20.0) -> Any:
        """Return the first message that is accepted, whether it came already or is still to come."""
        wait_until(lambda: any(map(accept, self.messages)), timeout, lambda: f"the last was {self.messages[-1:]}")
        return next(message for message in self.messages if accept(message))


MUTUAL_DISCOVERY = 0.3
"""Seconds in which a server that a client has discovered discovers the client: what it answers before is lost."""


class RosProbe:
    """A node with its own context, spinning in a thread."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("test_probe", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def collect(self, topic: str, message_type: type, qos: QoSProfile | int) -> Collector:
        """Collect the messages of a topic from now on."""
        collector = Collector()
        self.node.create_subscription(message_type, topic, collector.messages.append, qos)
        return collector

    def publisher(self, topic: str, message_type: type, qos: QoSProfile | int, timeout: float = 20.0) -> Any:
        """Return a publisher that somebody listens to."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        wait_until(lambda: publisher.get_subscription_count() > 0, timeout, lambda: f"nobody listens to {topic}")
        return publisher

    def call(self, service: str, service_type: type, request: Any = None, timeout: float = 20.0) -> Any:
        """Call a service and return its response."""
        client = self._client(service, service_type, timeout)
        return self.result(client.call_async(request or service_type.Request()), timeout)

    def action(self, name: str, action_type: type, timeout: float = 20.0) -> ActionClient:
        """Return a client of an action server that exists."""
        client = ActionClient(self.node, action_type, name)
        assert client.wait_for_server(timeout), f"the action {name} does not exist"
        return client

    def result(self, future: Any, timeout: float = 20.0) -> Any:
        """Return the result of a future."""
        wait_until(future.done, timeout, lambda: "no answer came")
        return future.result()

    def state(self, node: str) -> str:
        """Return the lifecycle state of a node."""
        # A node that is busy with a transition answers nothing until it is over.
        client = self._client(f"{node}/get_state", GetState, 120.0)
        return call(client, GetState.Request(), wait, 120.0).current_state.label

    def change_state(self, node: str, transition: str, timeout: float = 60.0) -> bool:
        """Walk a node through configure, activate, deactivate, cleanup or shutdown; return whether it succeeded."""
        if transition == "shutdown":
            number = _SHUTDOWN[self.call(f"{node}/get_state", GetState).current_state.id]
        else:
            number = TRANSITIONS[transition]
        request = ChangeState.Request(transition=Transition(id=number))
        made = Call(self._client(f"{node}/change_state", ChangeState, timeout), request).send()
        deadline = time.monotonic() + timeout
        while not wait(lambda: made.is_answered, min(LOST, timeout)):
            assert time.monotonic() < deadline, f"no answer to {transition} came in {timeout} s"
            if transition in _AFTER:
                if self.state(node) == _AFTER[transition]:
                    return True
                made.send()
        return made.response.success or (made.count > 1 and self.state(node) == _AFTER.get(transition))

    def _client(self, service: str, service_type: type, timeout: float = 20.0) -> Any:
        """Return the client of a service that exists, once the service has discovered it."""
        is_new = service not in self._clients
        if is_new:
            self._clients[service] = self.node.create_client(service_type, service)
        assert self._clients[service].wait_for_service(timeout), f"the service {service} does not exist"
        if is_new:
            time.sleep(MUTUAL_DISCOVERY)
        return self._clients[service]

    def close(self) -> None:
        """Leave the graph."""
        self._ended.set()
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once(timeout_sec=0.05)


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; return whether it holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def wait_until(condition: Callable[[], bool], timeout: float, otherwise: Callable[[], str]) -> None:
    """Wait until the condition holds; fail with `otherwise()` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{otherwise()} in {timeout} s"
        time.sleep(0.01)
