"""Publishes a node's lines on ``/diagnostics`` once a second."""

from collections.abc import Callable, Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from prana_ros.messages.diagnostics import diagnostics_to_msg
from prana_ros.nodes import qos
from prana_ros.nodes.lifecycle import PranaNode

DIAGNOSTICS_PERIOD = 1.0


def publish_diagnostics(node: PranaNode, lines: Callable[[], Iterable[DiagnosticStatus]]) -> None:
    """Publish what ``lines`` returns for as long as the node is configured; nothing while it returns nothing."""
    publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)

    def publish() -> None:
        if statuses := list(lines()):
            publisher.publish(diagnostics_to_msg(statuses, node.now_ns()))

    node.create_timer(DIAGNOSTICS_PERIOD, publish)
