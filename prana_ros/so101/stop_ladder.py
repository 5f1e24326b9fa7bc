"""How the arm is stopped: hold, then return slowly to rest, then torque off; never dropped.

Each reason goes down the ladder as far as it must. What makes holding itself harmful (heat, a failing supply) or
pointless (the driver ends) goes to the bottom; everything else stays on the first rung until somebody clears the stop.
"""

from dataclasses import dataclass
from enum import IntEnum


class StopReason(IntEnum):
    """Why the arm is stopped; the values are those of ``prana_msgs/ArmState``."""

    NONE = 0
    SERVICE = 1
    LOST_COMMANDER = 2
    COMMUNICATION = 3
    OVER_TEMPERATURE = 4
    OVERLOAD = 5
    LOW_VOLTAGE = 6
    LIMIT = 7
    SHUTDOWN = 8
    TORQUE_LOST = 9


class Rung(IntEnum):
    """What is done with the arm; the stop categories are those of IEC 60204-1."""

    FREE = 0
    """No stop is in force."""
    HOLD = 1
    """Brake and hold: category 2, a controlled stop with the power left on."""
    RETURN = 2
    """On the way to rest: the controlled part of a stop of category 1."""
    OFF = 3
    """At rest without torque: the end of category 1. Category 0, the power cut at once, would drop the arm; only
    ``set_torque`` and the plug do that."""


LAST_RUNG: dict[StopReason, Rung] = {
    StopReason.SERVICE: Rung.HOLD,
    StopReason.LOST_COMMANDER: Rung.HOLD,
    StopReason.COMMUNICATION: Rung.HOLD,
    StopReason.OVERLOAD: Rung.HOLD,
    StopReason.LIMIT: Rung.HOLD,
    StopReason.TORQUE_LOST: Rung.HOLD,
    StopReason.OVER_TEMPERATURE: Rung.OFF,
    StopReason.LOW_VOLTAGE: Rung.OFF,
    StopReason.SHUTDOWN: Rung.OFF,
}

HOLD_TIME = 0.5
"""Seconds on the first rung before the arm begins to return: the motion has come to rest by then."""


@dataclass
class StopLadder:
    """The stop in force. Times are monotonic seconds."""

    reason: StopReason = StopReason.NONE
    message: str = ""
    rung: Rung = Rung.FREE
    _since: float = 0.0

    @property
    def in_force(self) -> bool:
        """Whether the arm is stopped."""
        return self.reason is not StopReason.NONE

    def trigger(self, reason: StopReason, message: str, now: float) -> bool:
        """Stop for ``reason``, explained by ``message`` (one sentence); returns whether that changed anything.

        A stop in force gives way only to one that goes further down.
        """
        if self.in_force and LAST_RUNG[reason] <= LAST_RUNG[self.reason] and reason is not StopReason.SHUTDOWN:
            return False
        if reason is self.reason:
            return False
        self.reason, self.message = reason, message
        if self.rung is Rung.FREE:
            self.rung, self._since = Rung.HOLD, now
        return True

    @property
    def only_holds(self) -> bool:
        """Whether the stop in force, or none, leaves the arm where it is."""
        return LAST_RUNG.get(self.reason, Rung.HOLD) is Rung.HOLD

    def explain(self, reason: StopReason, message: str) -> None:
        """Replace the explanation of a stop for ``reason`` by what has become known since."""
        if self.reason is reason:
            self.message = message

    def update(self, now: float, at_rest: bool) -> Rung:
        """The rung at ``now``; ``at_rest``: the arm lies where torque may go off."""
        if self.in_force and LAST_RUNG[self.reason] is Rung.OFF:
            if self.rung is Rung.HOLD and now - self._since >= HOLD_TIME:
                self.rung = Rung.RETURN
            if self.rung is Rung.RETURN and at_rest:
                self.rung = Rung.OFF
        return self.rung

    def clear(self) -> None:
        """End the stop. Raises ``ValueError`` with one sentence for one that cannot be cleared."""
        if self.reason is StopReason.SHUTDOWN:
            raise ValueError("The driver is shutting down; that cannot be cleared.")
        self.reason, self.message, self.rung = StopReason.NONE, "", Rung.FREE
