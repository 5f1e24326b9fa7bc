"""Torque as a fact of each motor: a servo that lost its power comes back limp while the others hold."""

from dataclasses import dataclass, field

import numpy as np

from prana_ros.so101.figures import JOINT_NAMES

CHECK_CYCLES = 8
"""Servo cycles between two questions; each asks the next motor, so that all are asked within half a second."""


@dataclass
class MotorTorque:
    """Which motors have torque, as far as is known."""

    on: np.ndarray = field(default_factory=lambda: np.zeros(len(JOINT_NAMES), dtype=bool))
    """One entry for each motor (6,)."""
    given: bool = False
    """Whether the whole arm was given torque, and nobody has switched it off since."""
    _cycles: int = 0

    @property
    def any(self) -> bool:
        """Whether a motor has torque."""
        return bool(self.on.any())

    @property
    def all(self) -> bool:
        """Whether every motor has torque."""
        return bool(self.on.all())

    @property
    def is_lost(self) -> bool:
        """Whether a motor lacks the torque that it was given, or that others have."""
        return not self.all and (self.given or self.any)

    def switched_off(self, unanswered: list[str]) -> None:
        """Torque was switched off on request; the motors ``unanswered`` may have it still."""
        self.on = np.array([name in unanswered for name in JOINT_NAMES])
        self.given = False

    def next_to_ask(self) -> int | None:
        """Once per servo cycle: the motor that is to be asked now, if any."""
        self._cycles += 1
        turn, rest = divmod(self._cycles, CHECK_CYCLES)
        return None if rest else turn % len(JOINT_NAMES)

    @property
    def limp_motors(self) -> str:
        """The motors without torque, for a sentence."""
        limp = [name for name, on in zip(JOINT_NAMES, self.on, strict=True) if not on]
        return limp[0] if len(limp) == 1 else f"{', '.join(limp[:-1])} and {limp[-1]}" if limp else "no motor"

    @property
    def lost_sentence(self) -> str:
        """What has happened to the motors without torque, and what to do."""
        verb, its = ("has", "its motor") if (~self.on).sum() == 1 else ("have", "their motors")
        return (
            f"{self.limp_motors} {verb} no torque; did {its} lose power? set_torque switches the torque on where the "
            "arm is."
        )
