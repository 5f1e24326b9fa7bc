"""What is kept of one episode, whichever way it was run."""

from dataclasses import dataclass, field

import numpy as np

SUCCESS = "success"
OUTCOMES = (SUCCESS, "missed", "dropped", "outside the box", "timeout", "stop")
"""All ways in which an episode ends: see ``simulation.task.TaskMonitor``; ``stop`` is a run that was broken off."""


@dataclass(frozen=True)
class Episode:
    """How one episode went.

    Attributes:
        seed: of the scene.
        outcome: one of ``OUTCOMES``.
        duration: simulated seconds until success, or until the episode ended.
        chunks: predictions that the arm was given.
        path_length: of the way of the point between the jaws (m).
        jerk: root mean square of the third derivative of the joint positions, over time and joints (rad/s³).
        seam_steps: for each chunk that took over from another, the largest joint's step in position (rad).
        seam_velocity_steps: the same for the velocity (rad/s).
        strip: images (H, W, 3) uint8 of the episode in order of time, evenly spaced; empty if none were kept.
    """

    seed: int
    outcome: str
    duration: float
    chunks: int
    path_length: float
    jerk: float
    seam_steps: tuple[float, ...] = ()
    seam_velocity_steps: tuple[float, ...] = ()
    strip: tuple[np.ndarray, ...] = field(default=(), compare=False, repr=False)

    @property
    def success(self) -> bool:
        """Whether the screwdriver lies in the box, released."""
        return self.outcome == SUCCESS
