"""The trained v2 with something changed that its design says matters: how chunks join, the noise, the steps."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from prana_ros.evaluation.evaluated_policy import EvaluatedPolicy
from prana_ros.inference.denoising import Denoising
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.policies.inpainting import PLAN_ERROR, inpainting_gains

Gains = Callable[..., Tensor]


def _without_error(*matrices: Tensor, error: Tensor) -> Tensor:
    return inpainting_gains(*matrices)


def _with_error(relative: float, *matrices: Tensor, error: Tensor) -> Tensor:
    return inpainting_gains(*matrices, error=relative / PLAN_ERROR * error)


def _constant(correlation: Tensor, covariance: Tensor, times: Tensor, given: int, error: Tensor) -> Tensor:
    """The regression in the noise at every time."""
    return inpainting_gains(correlation, correlation, times, given)


def _overwriting(*matrices: Tensor, error: Tensor) -> Tensor:
    return torch.zeros_like(inpainting_gains(*matrices))


AS_DEPLOYED, NO_PREFIX = "as deployed", "no prefix"
JOINING: dict[str, Gains | None] = {
    AS_DEPLOYED: inpainting_gains,
    "M_t with E = C": functools.partial(_with_error, 1.0),
    "M_t with E = C/10": functools.partial(_with_error, 0.1),
    "M_t without E": _without_error,
    "constant M": _constant,
    "overwriting": _overwriting,
    NO_PREFIX: None,
}
"""What computes the gains; None: the policy is given no prefix."""


@dataclass(frozen=True)
class Variant(EvaluatedPolicy):
    """A flow policy that is changed when it is loaded; 0 denoising steps, no noise scale: the checkpoint's own."""

    joining: str = AS_DEPLOYED
    white_noise: bool = False
    noise_scale: float | None = None
    denoising_steps: int = 0

    def load(self) -> LoadedPolicy:
        """A policy of its own, so that nothing else is changed by it."""
        loaded = super().load()
        gains = JOINING[self.joining]
        if gains is None:
            loaded.spec = replace(loaded.spec, takes_prefix=False)
        else:
            loaded.policy.inpainting_gains = gains
        if self.white_noise:
            cholesky = loaded.policy.noise.cholesky
            cholesky.copy_(torch.eye(len(cholesky)))
        if self.noise_scale is not None:
            loaded.policy.config.noise_scale = self.noise_scale
        if self.denoising_steps:
            Denoising(self.denoising_steps).apply(loaded.policy.config)
            loaded.spec = replace(loaded.spec, denoising_steps=self.denoising_steps)
        return loaded

    def describe(self, policy: LoadedPolicy | None) -> dict[str, Any]:
        """What a result says of it: the changes too."""
        changes = {name: getattr(self, name) for name in ("joining", "white_noise", "noise_scale")}
        return {**super().describe(policy), **changes}
