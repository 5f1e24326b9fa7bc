"""What goes wrong on the servos' line."""

from dataclasses import dataclass


@dataclass
class Faults:
    """What goes wrong on the line, for tests: each count is of answers to come and goes down to 0.

    Attributes:
        drop: answers that never arrive.
        corrupt: answers with one bit turned.
        late: answers that arrive ``lateness`` seconds late.
    """

    drop: int = 0
    corrupt: int = 0
    late: int = 0
    lateness: float = 0.1
