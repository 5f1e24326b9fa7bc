"""What the six servos of an arm report in one transaction."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ArmReading:
    """What the servos report, in the order of ``JOINT_NAMES``; every array has shape (6,)."""

    stamp_ns: int
    """Middle of the transaction on the clock that the bus was given."""
    counts: np.ndarray
    """Present positions as the servos give them, int."""
    position: np.ndarray
    """The same in rad."""
    velocity: np.ndarray
    """rad/s."""
    load: np.ndarray
    """Signed fraction of the stall torque."""
    current: np.ndarray
    """A."""
    voltage: np.ndarray
    """V."""
    temperature: np.ndarray
    """Degrees Celsius."""
    error_bits: np.ndarray
    """int; 1 voltage, 2 angle, 4 overheat, 8 overcurrent, 32 overload."""
