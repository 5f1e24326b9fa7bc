"""The commander's side of the driver: take the arm, keep it, hear that it was stopped or taken, give it back."""

import threading
import time
from collections.abc import Callable

from rclpy.task import Future

from prana_msgs.msg import ArmState
from prana_msgs.srv import Acquire, Release
from prana_ros.nodes import qos
from prana_ros.nodes.lifecycle import PranaNode

ANSWER_TIME = 5.0
"""Seconds in which the driver must be there and answer."""
ORDER_TIME = 1.0
"""Seconds for the answer to an earlier request, without which the next one is sent all the same."""
HEARTBEATS = 3
"""Signs of life within one heartbeat timeout."""
_POLL = 0.02


class ArmError(RuntimeError):
    """The driver did not give the arm; the message is one sentence."""


class ArmClient:
    """Owns the arm under one name. All but ``release`` and ``is_owned`` are for the commander's own thread.

    Requests to two services may overtake each other. A release that comes second would undo an acquisition, and a sign
    of life that comes second would take the arm for an owner who is gone: so each waits for the answer to the other.

    Args:
        node: in whose namespace the driver is; its executor must run while the commander waits for an answer.
        owner: the name to acquire the arm under.
        heartbeat_timeout: seconds without a heartbeat after which the driver stops the arm.
        on_lost: called with one sentence, in the executor's thread, when the arm was stopped, let go or taken over.
    """

    def __init__(self, node: PranaNode, owner: str, heartbeat_timeout: float, on_lost: Callable[[str], None]) -> None:
        self._owner = owner
        self._heartbeat_timeout = heartbeat_timeout
        self._on_lost = on_lost
        self._last_sign = 0.0
        self.is_owned = False
        self._asked: Future | None = None
        self._released: Future | None = None
        self._acquire = node.create_client(Acquire, "so101_driver/acquire")
        self._release = node.create_client(Release, "so101_driver/release")
        node.create_subscription(ArmState, "so101_driver/arm_state", self._take_state, qos.LATCHED)

    def acquire(self, given_up: Callable[[], bool]) -> None:
        """Take the arm; wait for the driver's answer, or until ``given_up`` says that nobody wants it any more.

        Raises:
            ArmError: if the driver is not there, does not answer or refuses.
        """
        self._await_answer(self._released, given_up)
        deadline = time.monotonic() + ANSWER_TIME
        while not self._acquire.service_is_ready():
            self._wait(deadline, given_up, f"There is no driver: nobody offers {self._acquire.srv_name}.")
        answered = threading.Event()
        future = self._asked = self._acquire.call_async(self._request())
        future.add_done_callback(lambda _: answered.set())
        try:
            while not answered.is_set():
                self._wait(deadline, given_up, f"The driver does not answer {self._acquire.srv_name}.")
        except ArmError:
            # The driver may yet grant what was asked for, and would miss the heartbeat of an owner who is gone.
            self._give_back()
            raise
        answer = future.result()
        if not answer.success:
            raise ArmError(answer.message)
        self._last_sign = time.monotonic()
        self.is_owned = True

    def heartbeat(self) -> None:
        """Give a heartbeat, if the last one was a while ago: acquiring what one owns is a heartbeat."""
        now = time.monotonic()
        if self.is_owned and self._heartbeat_timeout and now - self._last_sign > self._heartbeat_timeout / HEARTBEATS:
            self._last_sign = now
            self._asked = self._acquire.call_async(self._request())

    def release(self) -> None:
        """Give the arm back, without waiting for the answer: one who lost it meanwhile is told so, and may be."""
        if self.is_owned:
            self.is_owned = False
            self._give_back()

    def _give_back(self) -> None:
        self._await_answer(self._asked, lambda: False)
        self._released = self._release.call_async(Release.Request(owner=self._owner))

    @staticmethod
    def _await_answer(earlier: Future | None, given_up: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ORDER_TIME
        while earlier is not None and not earlier.done() and time.monotonic() < deadline:
            _pause(given_up)

    def _request(self) -> Acquire.Request:
        return Acquire.Request(owner=self._owner, heartbeat_timeout=self._heartbeat_timeout)

    def _take_state(self, state: ArmState) -> None:
        if not self.is_owned:
            return
        if state.mode in (ArmState.MODE_STOPPED, ArmState.MODE_TORQUE_PARTLY_OFF):
            self._on_lost(f"The driver stopped the arm: {state.stop_message}")
        elif state.mode == ArmState.MODE_TORQUE_OFF:
            self._on_lost("The torque of the arm is off.")
        elif state.owner and state.owner != self._owner:
            self._on_lost(f"The arm was taken over by {state.owner!r}.")

    @staticmethod
    def _wait(deadline: float, given_up: Callable[[], bool], complaint: str) -> None:
        _pause(given_up)
        if time.monotonic() > deadline:
            raise ArmError(complaint)


def _pause(given_up: Callable[[], bool]) -> None:
    if given_up():
        raise ArmError("The run was ended before the arm was acquired.")
    time.sleep(_POLL)
