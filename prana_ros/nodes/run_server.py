"""An action server whose goals are worked on in a thread of the node's own."""

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node


class RunServer(ActionServer):
    """Lets a goal be executing (``goal.execute()``) before there is a result, which ``notify_execute`` then takes.

    rclpy's own way, a callback that returns the result, would keep the node's only executor thread.
    """

    def __init__(
        self,
        node: Node,
        action: type,
        name: str,
        judge: Callable[[Any], GoalResponse],
        start: Callable[[ServerGoalHandle], None],
        cancel: Callable[[ServerGoalHandle], CancelResponse],
    ) -> None:
        super().__init__(
            node,
            action,
            name,
            execute_callback=lambda goal: None,  # required, and never called
            goal_callback=judge,
            handle_accepted_callback=start,
            cancel_callback=cancel,
        )

    def notify_execute(
        self, goal_handle: ServerGoalHandle, execute_callback: Callable[[ServerGoalHandle], Any] | None
    ) -> None:
        """Set the goal's final state and result by a callback; without one the goal has only begun."""
        if execute_callback is not None:
            super().notify_execute(goal_handle, execute_callback)


def end_goal(goal: ServerGoalHandle, succeeded: bool) -> None:
    """Set a goal's final state."""
    if goal.is_cancel_requested:
        goal.canceled()
    elif succeeded:
        goal.succeed()
    else:
        goal.abort()
