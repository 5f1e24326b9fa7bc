"""How a policy denoises where the deployment wants it otherwise than the checkpoint says."""

import math
from dataclasses import dataclass
from typing import Any

STEP_SETTINGS = ("num_inference_steps", "num_steps")
"""What LeRobot's policies call the number of their denoising steps."""
_SHIFT_SETTING = "time_grid_shift"


@dataclass(frozen=True)
class Denoising:
    """Run-time options of a policy that denoises; 0 is what the checkpoint says.

    Args:
        steps: network evaluations of one prediction.
        time_grid_shift: α of the grid of flow times, see ``flow_matching.time_grid``.

    Raises:
        ValueError: if a value cannot be meant.
    """

    steps: int = 0
    time_grid_shift: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"denoising_steps is {self.steps}, but must be at least 1, or 0 for the checkpoint's.")
        if not (math.isfinite(self.time_grid_shift) and self.time_grid_shift >= 0):
            raise ValueError(
                f"time_grid_shift is {self.time_grid_shift}, but must be above 0, or 0 for the checkpoint's."
            )

    def apply(self, config: Any) -> None:
        """Write what is set into a policy's configuration, before the policy is made.

        Raises:
            ValueError: if the policy has no such setting, or cannot take so many steps.
        """
        if self.steps:
            name = next((name for name in STEP_SETTINGS if hasattr(config, name)), None)
            if name is None:
                raise ValueError(
                    f"denoising_steps is {self.steps}, but a policy of type {config.type!r} does not denoise: "
                    "only 0 is allowed."
                )
            trained = getattr(config, "num_train_timesteps", None)
            if trained and self.steps > trained:
                raise ValueError(
                    f"denoising_steps is {self.steps}, but the policy was trained on {trained} noise levels: "
                    f"at most {trained} steps are allowed."
                )
            setattr(config, name, self.steps)
        if self.time_grid_shift:
            if not hasattr(config, _SHIFT_SETTING):
                raise ValueError(
                    f"time_grid_shift is {self.time_grid_shift:g}, but a policy of type {config.type!r} has no grid "
                    "of flow times: only 0 is allowed."
                )
            setattr(config, _SHIFT_SETTING, self.time_grid_shift)


AS_SAVED = Denoising()
"""As the checkpoint says."""
