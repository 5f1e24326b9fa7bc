"""Brings another node through a lifecycle transition, also where an answer gets lost."""

import time
from collections.abc import Callable

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node

from prana_ros.nodes.calls import Call, Wait

ANSWER_TIME = 5.0
"""Seconds after which an answer may have been lost; a node that is busy with the transition answers nothing."""
TRANSITION_TIME = 180.0
"""Seconds that a transition may take: loading a large policy from a slow disk."""

_TRANSITIONS = {
    "configure": (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
    "activate": (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
}
"""Each verb's transition, and the state after it."""


def make_transition(node: Node, name: str, verb: str, wait: Wait) -> bool:
    """Let a lifecycle node ``configure`` or ``activate``; return whether it did, ``False`` if it refused.

    An answer can be lost: a server that has not discovered the reader of its answers yet sends it nowhere. So the state
    is asked for, too, and the transition once more if the node is still where it was.

    Args:
        node: makes the calls; its executor runs while ``wait`` waits.
        name: the full name of the lifecycle node.
        verb: ``configure`` or ``activate``.
        wait: what it raises passes through.

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
        present = Call(state, GetState.Request()).send()
        return present.response.current_state.id if answered(lambda: present.is_answered) else None

    try:
        while not answered(lambda: change.service_is_ready() and state.service_is_ready()):
            pass
        made = Call(change, request).send()
        while not answered(lambda: made.is_answered):
            present = present_state()
            if present == goal:
                return True
            if present is not None:
                made.send()
        # A request that is made twice is refused the second time, by a node that is where it should be.
        return made.response.success or (made.count > 1 and present_state() == goal)
    finally:
        node.destroy_client(change)
        node.destroy_client(state)
