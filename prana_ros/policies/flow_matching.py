"""Conditional flow matching on action chunks: interpolant, loss, time distribution, Euler sampler.

Convention: t = 1 is noise, t = 0 is data.

    x_t = t·ε + (1 − t)·a        v = dx_t/dt = ε − a        x_{t−dt} = x_t − dt·v

Lipman et al., "Flow Matching for Generative Modeling" (2023); the time distribution and the direction of t are those
of Black et al., "π0" (2024).
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from prana_ros.policies.losses import masked_mean

VelocityField = Callable[[Tensor, Tensor], Tensor]
Correction = Callable[[Tensor, int], Tensor]

TIME_ALPHA = 1.5
TIME_MIN = 0.001


def interpolate(action: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = t·ε + (1 − t)·a; ``t`` broadcasts against the chunks."""
    return t * noise + (1 - t) * action


def velocity_target(action: Tensor, noise: Tensor) -> Tensor:
    """v = ε − a."""
    return noise - action


def sample_time(shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """t ~ Beta(1.5, 1)·0.999 + 0.001, by inversion: a Beta(α, 1) variable is U^(1/α)."""
    uniform = torch.rand(shape, device=device)
    return uniform ** (1 / TIME_ALPHA) * (1 - TIME_MIN) + TIME_MIN


def masked_mse(prediction: Tensor, target: Tensor, is_pad: Tensor | None) -> Tensor:
    """Mean squared error over the steps that are not padding.

    Args:
        prediction, target: (..., H, A).
        is_pad: (..., H), true where a step lies beyond its episode; None where there is no padding.
    """
    return masked_mean((prediction - target).square(), is_pad)


def time_grid(steps: int, shift: float = 1.0) -> Tensor:
    """The steps + 1 times from 1 to 0, float64: t' = α·t / (1 + (α − 1)·t) of an even grid, with α = ``shift``.

    α > 1 spends more steps near the noise, α < 1 near the data; α = 1 leaves the grid even.
    """
    if steps < 1:
        raise ValueError(f"num_inference_steps must be at least 1, got {steps}")
    if not shift > 0:
        raise ValueError(f"time_grid_shift must be positive, got {shift}")
    t = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return shift * t / (1 - t + shift * t)  # written so that the ends are exact


def euler(velocity: VelocityField, noise: Tensor, grid: Tensor, correct: Correction | None = None) -> Tensor:
    """Integrate from noise to data over ``grid`` (see :func:`time_grid`).

    Args:
        velocity: (x, t) -> v, with x shaped as ``noise`` and t of shape (B,).
        noise: the starting point (B, ...).
        correct: applied after step k, as ``correct(x, k)``, with x at time ``grid[k + 1]``.
    """
    x = noise
    times = grid.tolist()
    for k, (now, after) in enumerate(itertools.pairwise(times)):
        t = torch.full(x.shape[:1], now, dtype=x.dtype, device=x.device)
        x = x - (now - after) * velocity(x, t)
        if correct is not None:
            x = correct(x, k)
    return x
