"""What a node says of itself on ``/diagnostics``."""

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from prana_ros.messages.standard import stamp_from_ns

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def status_to_msg(
    name: str, message: str, values: Iterable[tuple[str, object]], level: bytes = OK, hardware_id: str = ""
) -> DiagnosticStatus:
    """Return one line.

    Args:
        name: the fully qualified name of the node, and after a colon that of its part.
        message: a word or a sentence.
        values: pairs of a name, with its unit in brackets, and a value.
        level: ``OK``, ``WARN`` or ``ERROR``.
        hardware_id: of what the line is about.
    """
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware_id, values=pairs)


def diagnostics_to_msg(statuses: Iterable[DiagnosticStatus], stamp_ns: int) -> DiagnosticArray:
    """Return the message with these lines."""
    return DiagnosticArray(header=Header(stamp=stamp_from_ns(stamp_ns)), status=list(statuses))
