"""Keeps the gripper's servo out of its overload protection, and brings it back when it got there.

A policy closes the gripper further than the object lets it, so the servo presses for as long as the object is held.
Above ``GRIPPER_OVERLOAD`` for two seconds it protects itself: it goes weak and sets the overload bit until it gets a
goal on the other side of where it is, or its torque is written anew. The guard eases the goal back before that, as
far as the load demands and no further, so the object stays held.
"""

import math
from dataclasses import dataclass

from prana_ros.so101.model import ACTUATOR, GRIPPER_TORQUE_FRACTION
from prana_ros.so101.servo_settings import GRIPPER_OVERLOAD

EASY_LOAD = 0.8 * GRIPPER_OVERLOAD
"""Fraction of the stall torque that the servo can press with permanently."""
PATIENCE = 1.0
"""Seconds of pressing harder than that before the grip is eased: half the servo's own patience."""
EASING_SPEED = 0.15
"""rad/s at which the goal is moved back."""
BACK_OFF = 0.02
"""rad beyond the present position, on the open side, that end an overload."""
GENTLE = 0.03
"""rad inside the present position, to press with again after an overload: a fifth of the stall torque."""
FULL_PRESS = GRIPPER_TORQUE_FRACTION * ACTUATOR.torque_limit / ACTUATOR.position_gain
"""rad inside the present position from which on the servo presses no harder."""


@dataclass
class GripGuard:
    """Filters the gripper's goal. Angles in rad, larger is more open; load as a fraction of the stall torque."""

    floor: float = -math.inf
    """The goal is kept at or above this angle."""
    backed_off: int = 0
    """Overloads that were backed off from."""
    _pressing: float = 0.0
    _overloaded: bool = False

    def step(self, goal: float, position: float, load: float, overload: bool, period: float) -> float:
        """The goal to send instead of ``goal``, ``period`` seconds after the last one."""
        if goal > self.floor:
            self.floor = -math.inf
        if overload:
            self.backed_off += not self._overloaded
            self.floor = position + BACK_OFF
        elif self._overloaded:
            self.floor = position - GENTLE
        else:
            self._ease(goal, position, load, period)
        self._overloaded = overload
        return max(goal, self.floor)

    def _ease(self, goal: float, position: float, load: float, period: float) -> None:
        pressing = abs(load) > EASY_LOAD and max(goal, self.floor) < position
        self._pressing = self._pressing + period if pressing else 0.0
        if self._pressing > PATIENCE:
            self.floor = max(self.floor, goal, position - FULL_PRESS) + EASING_SPEED * period
