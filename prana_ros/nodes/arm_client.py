"""The commander's side of the driver: take the arm, keep it, hear that it was stopped or taken, give it back."""

import time
from collections.abc import Callable

from prana_msgs.msg import ArmState
from prana_msgs.srv import Acquire, Release
from prana_ros.nodes import qos
from prana_ros.nodes.calls import Call, NoAnswerError, Wait
from prana_ros.nodes.lifecycle import PranaNode

ANSWER_TIME = 5.0
"""Seconds in which the driver must be there and answer."""
ORDER_TIME = 1.0
"""Seconds for the answer to an earlier request, without which the next one is sent all the same."""
HEARTBEATS = 3
"""Heartbeats within one heartbeat timeout."""
_POLL = 0.02


class ArmError(RuntimeError):
    """The driver did not give the arm; the message is one sentence."""


class ArmClient:
    """Owns the arm under one name. All but ``release`` and ``is_owned`` are for the commander's own thread.

    Requests to two services may overtake each other. A release that comes second would undo an acquisition, and a
    heartbeat that comes second would take the arm for an owner who is gone: so each waits for the answer to the other.

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
        self._asked: Call | None = None
        self._released: Call | None = None
        self._acquire = node.create_client(Acquire, "so101_driver/acquire")
        self._release = node.create_client(Release, "so101_driver/release")
        node.create_subscription(ArmState, "so101_driver/arm_state", self._take_state, qos.LATCHED)

    def acquire(self, given_up: Callable[[], bool]) -> None:
        """Take the arm; wait for the driver's answer, or until ``given_up`` says that nobody wants it any more.

        Raises:
            ArmError: if the driver is not there, does not answer or refuses.
        """
        self._await_answer(self._released, given_up)
        self._asked = Call(self._acquire, self._request())
        try:
            answer = self._asked.complete(waiting_until(given_up), ANSWER_TIME)
        except NoAnswerError as error:
            self._give_back()
            raise ArmError(f"The driver did not give the arm: {error}.") from None
        except ArmError:
            # The driver may yet grant what was asked for, and would miss the heartbeat of an owner who is gone.
            self._give_back()
            raise
        if not answer.success:
            raise ArmError(answer.message)
        self._last_sign = time.monotonic()
        self.is_owned = True

    def heartbeat(self) -> None:
        """Give a heartbeat, if the last one was a while ago: acquiring what one owns is a heartbeat."""
        now = time.monotonic()
        if self.is_owned and self._heartbeat_timeout and now - self._last_sign > self._heartbeat_timeout / HEARTBEATS:
            self._last_sign = now
            self._asked = Call(self._acquire, self._request()).send()

    def release(self) -> None:
        """Give the arm back, without waiting for the answer; of an arm that was lost meanwhile it is refused."""
        if self.is_owned:
            self.is_owned = False
            self._give_back()

    def _give_back(self) -> None:
        self._await_answer(self._asked, lambda: False)
        self._released = Call(self._release, Release.Request(owner=self._owner)).send()

    @staticmethod
    def _await_answer(earlier: Call | None, given_up: Callable[[], bool]) -> None:
        if earlier is not None:
            waiting_until(given_up)(lambda: earlier.is_settled, ORDER_TIME)

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


def waiting_until(given_up: Callable[[], bool]) -> Wait:
    """Return what waits for an answer for as long as somebody wants the arm."""

    def wait(condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if given_up():
                raise ArmError("The run was ended before the arm was acquired.")
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    return wait
