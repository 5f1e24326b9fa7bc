"""Rolling inpainting: a new chunk that continues the actions the robot is still going to execute.

Let O be the given entries (the first steps of the chunk) and U the others. After the Euler step that ends at time t,

    x_O* = (1 − t)·a_O + t·ε_O,    δ = x_O* − x_O,    x_O ← x_O*,    x_U ← x_U + M_t·δ,
    M_t = S_t,UO·S_t,OO⁻¹,         S_t = t²·Σ_reg + (1 − t)²·C   at max(t, 0.0025).

For Gaussian actions with covariance C given the observation, and noise of covariance Σ_reg, S_t is the covariance of
x_t, so M_t is the regression of the free entries on the given ones. Noise of σ²·Σ_reg (``noise_scale`` σ) makes that
covariance σ²·S_t, as the flow of Gaussian actions is affine, and leaves M_t as it is.

The floor on t is there because C may be nearly singular (smooth joints, joints that never move) and is kept in float32:
at t = 0 the regression would divide by rounding errors and hand a network's velocity errors on, amplified, to the free
entries. On Gaussian chunks (benchmarks/seams.py) a floor of 0.05 moves the continuations' mean by 0.17 to 0.25 standard
deviations, 0.01 by 0.05 to 0.13; below 0.003 what the 10 Euler steps leave is larger. At 0.0025 the floor still adds
t²·(1 − β) = 3e-6 to each eigenvalue, more than C's rounding error where no variance is above 1.

That takes the given actions for true ones. In closed loop they are an older prediction: what sets them apart from the
new one is their error as well as its own. With an error of covariance E_OO the regression on what is known of the true
actions is

    M_t = S_t,UO·(S_t,OO + (1 − t)²·E_OO)⁻¹,    E = PLAN_ERROR·C in the policies.

Without E a policy that replans often goes on along its older predictions' errors instead of correcting them.
"""

import torch
from torch import Tensor

TIME_FLOOR = 0.0025
PLAN_ERROR = 0.5
"""Variance of the running plan's error relative to a new prediction's. Found in closed loop (benchmarks/seams.py): at 1
seams are rougher than 1.4 times a chunk's own steps, at 0.1 episodes fail."""


def inpainting_gains(
    correlation: Tensor, covariance: Tensor, times: Tensor, given: int, error: Tensor | None = None
) -> Tensor:
    """M_t for each of ``times``: (len(times), d − given, given), float32, solved in float64.

    Args:
        correlation: Σ_reg, the covariance of the noise (d, d).
        covariance: C, the covariance of the normalized action chunks given the observation (d, d).
        given: the number of leading entries that are given, in 1 … d.
        error: E, the covariance of the given actions' own error (d, d), of which E_OO is used; None: they are true.
    """
    correlation, covariance = correlation.double(), covariance.double()
    t = times.double().clamp(min=TIME_FLOOR)[:, None, None].to(correlation.device)
    mixture = t**2 * correlation + (1 - t) ** 2 * covariance
    known = mixture[:, :given, :given]
    if error is not None:
        known = known + (1 - t) ** 2 * error.double()[:given, :given]
    gains = torch.linalg.solve(known, mixture[:, :given, given:])
    return gains.transpose(1, 2).float().contiguous()


class Inpainting:
    """The correction for one chunk: hold the given entries on their path and carry the others along."""

    def __init__(self, prefix: Tensor, noise: Tensor, times: Tensor, gains: Tensor):
        """
        Args:
            prefix: the given actions a_O, normalized (B, P, A).
            noise: the initial noise of the whole chunk (B, H, A).
            times: the time after each Euler step (n,); the last is 0.
            gains: M_t for each of them, from :func:`inpainting_gains` with given = P·A.
        """
        self._prefix = prefix.flatten(1)
        self._noise = noise.flatten(1)[:, : self._prefix.shape[1]]
        self._times = times.tolist()
        self._gains = gains

    def __call__(self, x: Tensor, step: int) -> Tensor:
        """x (B, H, A) after Euler step ``step``, corrected; the given entries are exact at the last step."""
        t = self._times[step]
        given = self._prefix.shape[1]
        flat = x.flatten(1)
        target = (1 - t) * self._prefix + t * self._noise
        free = flat[:, given:] + (target - flat[:, :given]) @ self._gains[step].T
        return torch.cat([target, free], dim=1).view_as(x)
