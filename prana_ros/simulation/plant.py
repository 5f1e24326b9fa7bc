"""What a bus of six servos needs to know of the arm that it moves."""

from typing import Protocol

import numpy as np


class ArmPlant(Protocol):
    """Six servo-driven joints in the order of ``JOINT_NAMES``; reading gives a copy, assigning takes effect at once.

    Every array has shape (6,). A servo pulls its joint towards ``goal`` with ``position_gain`` times the distance,
    at most ``torque_limit`` times the stall torque, and not at all while ``torque_enabled`` is false.
    """

    @property
    def position(self) -> np.ndarray:
        """Joint angles, rad."""

    @property
    def velocity(self) -> np.ndarray:
        """Joint velocities, rad/s."""

    @property
    def torque(self) -> np.ndarray:
        """What the servos exert at the joints, N·m."""

    @property
    def goal(self) -> np.ndarray:
        """Goal angles, rad."""

    @goal.setter
    def goal(self, value: np.ndarray) -> None: ...

    @property
    def torque_enabled(self) -> np.ndarray:
        """bool: which servos hold their joint."""

    @torque_enabled.setter
    def torque_enabled(self, value: np.ndarray) -> None: ...

    @property
    def torque_limit(self) -> np.ndarray:
        """Fraction 0..1 of the stall torque."""

    @torque_limit.setter
    def torque_limit(self, value: np.ndarray) -> None: ...
