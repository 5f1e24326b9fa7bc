"""What a policy expects of the robot that it drives."""

from dataclasses import dataclass

import numpy as np

from prana_ros.so101.units import Units


@dataclass(frozen=True)
class StateRange:
    """The smallest and the largest joint state of the training set, both (A,), in the checkpoint's units."""

    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class PolicySpec:
    """What a checkpoint says of itself; ``None`` where it says nothing."""

    kind: str
    """The name under which LeRobot knows the policy: ``prana_v2``, ``act``, ..."""
    joint_names: tuple[str, ...] | None
    """Of state and action, in their order."""
    units: Units | None
    fps: float | None
    """Actions a second."""
    cameras: dict[str, tuple[int, int, int]]
    """Image shape (channels, height, width) of each camera by name."""
    other_inputs: tuple[str, ...]
    """Features that are neither the joint state nor an image."""
    state_size: int
    """0 for a policy that does not see the joints."""
    action_size: int
    chunk_size: int
    """Actions that one prediction returns."""
    observation_steps: int
    """Observations, 1/fps apart, that one prediction takes."""
    denoising_steps: int
    """0 for a policy that does not denoise."""
    takes_prefix: bool
    """Whether a prediction can be made to go on from the running plan."""
    state_range: StateRange | None
    noise_problem: str | None
    """One sentence where the policy's noise does not belong to its training data."""
    calibration_fingerprint: str | None
    """Of the arm that recorded the training set."""
