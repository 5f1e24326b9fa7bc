"""Limits on what is sent to the servos: position, velocity and acceleration, joint by joint.

A plan within the limits passes unchanged and undelayed. Anything else is followed as closely as the limits allow,
braking in time, so that from rest a step is reached without overshoot and a position limit is never passed.
"""

from dataclasses import dataclass, field

import numpy as np

TOLERANCE = 1e-6
"""rad: a command nearer to its target than this was not limited."""


@dataclass(frozen=True, eq=False)
class Limits:
    """Per joint, shape (6,) each: positions in rad, velocity in rad/s, acceleration in rad/s²."""

    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "velocity", "acceleration"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if not np.all(self.lower < self.upper):
            raise ValueError(f"Lower position limits {self.lower} must be below the upper ones {self.upper}.")
        for name in ("velocity", "acceleration"):
            if not np.all(getattr(self, name) > 0.0):
                raise ValueError(f"The {name} limits are {getattr(self, name)}; they must be positive.")


def stopping_speed(distance: np.ndarray, acceleration: np.ndarray, period: float) -> np.ndarray:
    """Largest speed for the coming cycle from which braking still ends within ``distance``.

    With the speed lowered by h = acceleration · period each cycle, a speed w covers
    period · (w + (w − h) + (w − 2h) + …); this is the inverse of that sum. A distance within reach of one cycle
    gives the speed that lands on it exactly.
    """
    step = acceleration * period
    ratio = np.maximum(distance, 0.0) / (period * step)
    cycles = np.floor((np.sqrt(1.0 + 8.0 * ratio) - 1.0) / 2.0)
    return step * (ratio + cycles * (cycles + 1.0) / 2.0) / (cycles + 1.0)


@dataclass(eq=False)
class Limiter:
    """Turns planned positions into commands within ``limits``, one call per servo cycle."""

    limits: Limits
    position: np.ndarray = field(default_factory=lambda: np.zeros(6))
    """The last command (6,), rad."""
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(6))
    """Its velocity (6,), rad/s."""
    limited: int = 0
    """Cycles in which a command had to differ from its target."""

    def reset(self, position: np.ndarray) -> None:
        """Start again at rest at ``position`` (6,) rad, which may lie outside the limits: the arm is where it is."""
        self.position = np.array(position, dtype=np.float64)
        self.velocity = np.zeros_like(self.position)
        self._target = self.position

    def __post_init__(self) -> None:
        self.reset(self.position)

    def brake(self, period: float) -> np.ndarray:
        """Aim at the nearest position (6,) rad where the commands can come to rest, and return it."""
        change = self.limits.acceleration * period
        cycles = np.floor(np.abs(self.velocity) / change)
        # The coming cycles have the speeds |v| - change, |v| - 2 change, …
        distance = period * (cycles * np.abs(self.velocity) - change * cycles * (cycles + 1.0) / 2.0)
        self._target = self.position + np.sign(self.velocity) * distance
        return self._target.copy()

    def step(self, target: np.ndarray, period: float) -> np.ndarray:
        """Command (6,) in rad for the planned position ``target`` (6,), ``period`` seconds after the last one."""
        limits = self.limits
        # An arm that starts outside its limits is not pushed back, only kept from going further out.
        lower = np.minimum(limits.lower, self.position)
        upper = np.maximum(limits.upper, self.position)
        goal = np.clip(target, lower, upper)
        velocity = self._follow(goal, period)
        velocity = np.clip(velocity, -limits.velocity, limits.velocity)
        change = limits.acceleration * period
        velocity = np.clip(velocity, self.velocity - change, self.velocity + change)
        velocity = np.minimum(velocity, stopping_speed(upper - self.position, limits.acceleration, period))
        velocity = np.maximum(
            velocity,
            -stopping_speed(self.position - lower, limits.acceleration, period),
        )
        # Rounding and cycles of unequal length may miss a limit by a hair: the position has the last word.
        command = np.clip(self.position + velocity * period, lower, upper)
        self.velocity = (command - self.position) / period
        self.position = command
        self._target = goal
        self.limited += bool(np.any(np.abs(command - target) > TOLERANCE))
        return command.copy()

    def _follow(self, goal: np.ndarray, period: float) -> np.ndarray:
        """Velocity (6,) that follows the moving goal, catching up no faster than can be braked before it."""
        behind = self._target - self.position
        catch_up = stopping_speed(np.abs(behind), self.limits.acceleration, period)
        return (goal - self._target) / period + np.sign(behind) * catch_up
