"""One commander at a time: who may send trajectories, and whether that commander is still alive."""

import math
from dataclasses import dataclass

LEADER = "leader"
"""The teleoperator's leader arm: a human may take over from any program, at any time."""


class OwnershipError(ValueError):
    """The arm is not this commander's to take, give back or move; the message is one sentence."""


@dataclass
class Ownership:
    """The owner of the arm; empty while anybody may command it. Times are monotonic seconds."""

    owner: str = ""
    heartbeat_timeout: float = 0.0
    """Seconds that the owner may be silent; 0: any time."""
    _heard: float = 0.0

    def acquire(self, owner: str, heartbeat_timeout: float, now: float) -> None:
        """Give the arm to ``owner``, who must then send a trajectory at least every ``heartbeat_timeout`` seconds.

        Acquiring again what one owns is a heartbeat and sets a new timeout. Raises :class:`OwnershipError` if somebody
        else owns the arm, unless the leader takes over.
        """
        if not owner.strip():
            raise OwnershipError("The owner's name is empty; who takes the arm must have one.")
        if not (math.isfinite(heartbeat_timeout) and heartbeat_timeout >= 0.0):
            raise OwnershipError(
                f"heartbeat_timeout is {heartbeat_timeout} s; it must be 0 (none) or a positive number of seconds."
            )
        if self.owner and owner not in (self.owner, LEADER):
            raise OwnershipError(f"The arm belongs to '{self.owner}'; '{owner}' must wait until it is released.")
        self.owner, self.heartbeat_timeout, self._heard = owner, heartbeat_timeout, now

    def release(self, owner: str) -> None:
        """Give the arm back. Raises :class:`OwnershipError` unless ``owner`` owns it."""
        if not self.owner:
            raise OwnershipError(f"The arm belongs to nobody; '{owner}' has nothing to release.")
        if owner != self.owner:
            raise OwnershipError(f"The arm belongs to '{self.owner}'; '{owner}' cannot release it.")
        self.revoke()

    def revoke(self) -> None:
        """Take the arm from its owner, if there is one."""
        self.owner, self.heartbeat_timeout = "", 0.0

    def check(self, commander: str) -> None:
        """Raise :class:`OwnershipError` unless ``commander`` may move the arm; unowned, everybody may."""
        if self.owner and commander != self.owner:
            sender = f"'{commander}'" if commander else "a commander without name"
            raise OwnershipError(f"The arm belongs to '{self.owner}'; the trajectory came from {sender}.")

    def heard(self, now: float) -> None:
        """The owner gave a heartbeat."""
        self._heard = now

    def silence(self, now: float) -> float:
        """Seconds since the last heartbeat."""
        return now - self._heard

    def is_lost(self, now: float) -> bool:
        """Whether the owner asked for a heartbeat and missed it."""
        return bool(self.owner) and 0.0 < self.heartbeat_timeout < self.silence(now)
