"""Brings another node through a lifecycle transition, also where an answer gets lost."""

import time
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node

ANSWER_TIME = 5.0
"""Seconds after which an answer may have been lost."""
TRANSITION_TIME = 180.0
"""Seconds that a transition may take: loading a large policy from a slow disk."""

_TRANSITIONS = {
    "configure": (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
    "activate": (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
}
"""Each verb's transition, and the state after it."""

Wait = Callable[[Callable[[], bool], float], bool]
"""Waits for a condition up to a number of seconds; returns whether it holds, and raises to give up."""


def make_transition(node: Node, name: str, verb: str, wait: Wait) -> bool:
    """Let a lifecycle node ``configure`` or ``activate``; return whether it did, ``False`` if it refused.

    An answer can be lost: a server that has not discovered the reader of its answers yet sends it nowhere. So the state
    is asked for, too, and the transition once more if the node is still where it was.

    Args:
        node: makes the calls; its executor runs while ``wait`` waits.
        name: the full name of the lifecycle node.
        verb: ``configure`` or ``activate``.
        wait: see ``Wait``; what it raises passes through.

    Raises:
        TimeoutError: no answer came in ``TRANSITION_TIME``; one sentence.
    """
    transition, goal = _TRANSITIONS[verb]
    change = node.create_client(ChangeState, f"{name}/change_state")
    state = node.create_client(GetState, f"{name}/get_state")
    request = ChangeState.Request(transition=Transition(id=transition))
    deadline = time.monotonic() + TRANSITION_TIME

    def answered(condition: Callable[[], bool]) -> bool:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} did not answer within {TRANSITION_TIME:.0f} s when it was to {verb}.")
        return wait(condition, ANSWER_TIME)

    def present_state() -> int | None:
        """The state; ``None`` where the node is busy with the transition, or the answer is lost."""
        present = state.call_async(GetState.Request())
        return present.result().current_state.id if answered(present.done) else None

    try:
        while not answered(lambda: change.service_is_ready() and state.service_is_ready()):
            pass
        answers = [change.call_async(request)]
        while not answered(lambda: any(answer.done() for answer in answers)):
            present = present_state()
            if present == goal:
                return True
            if present is not None:
                answers.append(change.call_async(request))
        # A request that is made twice is refused the second time, by a node that is where it should be.
        return _first(answers).success or (len(answers) > 1 and present_state() == goal)
    finally:
        node.destroy_client(change)
        node.destroy_client(state)


def _first(answers: list[Any]) -> Any:
    return next(answer for answer in answers if answer.done()).result()
