"""What can go wrong on the servo bus."""


class BusError(RuntimeError):
    """The servos cannot be reached or set up; the message is one sentence for the user."""


class CommunicationError(BusError):
    """One or more motors gave no valid answer; their errors are counted. The next attempt may succeed."""


class PortLostError(BusError):
    """The port has vanished: unplugged. Only a new connection helps."""
