"""Torque as a fact of each motor: a servo that lost its power comes back limp while the others hold."""

from dataclasses import dataclass, field

import numpy as np

from prana_ros.so101.arm_reading import ArmReading
from prana_ros.so101.bus import ArmBus
from prana_ros.so101.driver_state import RefusedError
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.reading_check import readings_outside

QUESTION_PERIOD = 0.08
"""Seconds between two questions; each asks the next motor, so that all are asked within half a second."""


@dataclass
class MotorTorque:
    """Which motors have torque, as far as is known. ``rate``: servo cycles per second."""

    rate: float = 100.0
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

    def switch_on(self, bus: ArmBus, reading: ArmReading, position: np.ndarray) -> None:
        """Torque on in every motor that has none, with ``position`` (6,) in rad as its goal.

        Raises:
            RefusedError: if a motor cannot be held where ``reading`` says that it is; then none has got torque.
            BusError: if a motor does not answer; those before it have torque.
        """
        outside = readings_outside(reading.counts, bus.calibration)
        limp = [i for i in range(len(JOINT_NAMES)) if not self.on[i]]
        if refused := [outside[JOINT_NAMES[i]] for i in limp if JOINT_NAMES[i] in outside]:
            raise RefusedError(" ".join(refused))
        for i in limp:
            bus.hold(JOINT_NAMES[i], position[i])
            self.on[i] = True
        self.given = True

    def has_changed(self, bus: ArmBus) -> bool:
        """Once per servo cycle: ask the next motor if it is time to; whether its torque is not what is known.

        Raises :class:`BusError` if it does not answer.
        """
        motor = self.next_to_ask()
        return motor is not None and bus.has_torque(JOINT_NAMES[motor]) != self.on[motor]

    def next_to_ask(self) -> int | None:
        """Once per servo cycle: the motor that is to be asked now, if any."""
        self._cycles += 1
        turn, rest = divmod(self._cycles, max(1, round(QUESTION_PERIOD * self.rate)))
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
