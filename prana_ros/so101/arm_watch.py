"""Watches the servos' reports for what must stop the arm."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from prana_ros.so101.arm_reading import ArmReading
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.stop_ladder import StopReason

VOLTAGE_BIT, ANGLE_BIT, OVERHEAT_BIT, OVERCURRENT_BIT, OVERLOAD_BIT = 1, 2, 4, 8, 32
OVERLOAD_BITS = OVERLOAD_BIT | OVERCURRENT_BIT

PATIENCE = 0.3
"""Seconds that something must last: a single odd reading stops no arm."""
LIMIT_MARGIN = 0.2
"""rad beyond a position limit that sag and backlash do not explain."""

ARM = JOINT_NAMES[:-1]


@dataclass(frozen=True)
class WatchLimits:
    """When the arm is stopped: °C, V, and positions (6,) in rad."""

    max_temperature: float
    min_voltage: float
    lower: np.ndarray
    upper: np.ndarray


@dataclass
class ArmWatch:
    """Judges one reading after the other."""

    limits: WatchLimits
    _since: dict[tuple[StopReason, str], float] = field(default_factory=dict)

    def check(self, reading: ArmReading, now: float) -> list[tuple[StopReason, str]]:
        """Reasons to stop at ``now`` (monotonic seconds), each with one sentence for the user; usually none."""
        found = {(reason, joint): message for reason, joint, message in self._findings(reading)}
        self._since = {key: self._since.get(key, now) for key in found}
        return [(key[0], message) for key, message in found.items() if now - self._since[key] >= PATIENCE]

    def _findings(self, reading: ArmReading) -> Iterator[tuple[StopReason, str, str]]:
        limits = self.limits
        for i, joint in enumerate(JOINT_NAMES):
            bits = int(reading.error_bits[i])
            temperature, voltage, position = reading.temperature[i], reading.voltage[i], reading.position[i]
            if temperature > limits.max_temperature:
                yield (
                    StopReason.OVER_TEMPERATURE,
                    joint,
                    f"The motor of {joint} has {temperature:.0f} °C; allowed are {limits.max_temperature:.0f} °C.",
                )
            elif bits & OVERHEAT_BIT:
                yield (
                    StopReason.OVER_TEMPERATURE,
                    joint,
                    f"The servo of {joint} reports that it is too hot, at {temperature:.0f} °C.",
                )
            if voltage < limits.min_voltage:
                yield (
                    StopReason.LOW_VOLTAGE,
                    joint,
                    f"The motor of {joint} gets {voltage:.1f} V; at least {limits.min_voltage:.1f} V are needed.",
                )
            elif bits & VOLTAGE_BIT:  # too high as well: a 7.4 V servo at 12 V
                yield (
                    StopReason.LOW_VOLTAGE,
                    joint,
                    f"The servo of {joint} reports that its supply of {voltage:.1f} V is outside what it is made for.",
                )
            if bits & OVERLOAD_BITS and joint in ARM:
                yield (
                    StopReason.OVERLOAD,
                    joint,
                    f"The motor of {joint} is overloaded (load {100 * reading.load[i]:.0f} %); is the arm blocked?",
                )
            if bits & ANGLE_BIT:
                yield StopReason.LIMIT, joint, f"The servo of {joint} reports that its angle sensor is out of range."
            if not limits.lower[i] - LIMIT_MARGIN <= position <= limits.upper[i] + LIMIT_MARGIN:
                yield (
                    StopReason.LIMIT,
                    joint,
                    f"{joint} is at {position:.2f} rad, beyond its limits of {limits.lower[i]:.2f} to "
                    f"{limits.upper[i]:.2f} rad.",
                )
