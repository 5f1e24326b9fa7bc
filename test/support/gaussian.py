"""Gaussian action chunks, whose exact flow-matching velocity field is known in closed form."""

import numpy as np
import torch
from torch import Tensor


def smooth_covariance(steps: int, joints: int, length: float = 6.0) -> np.ndarray:
    """Covariance (H·A, H·A) of independent joints, each a Matérn-5/2 process over the steps, of unequal variance."""
    distance = np.sqrt(5) * np.abs(np.subtract.outer(np.arange(steps), np.arange(steps))) / length
    matern = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return np.kron(matern, np.diag(np.linspace(0.6, 1.4, joints)))


def correlation_of(covariance: np.ndarray, beta: float) -> np.ndarray:
    """β·Σ + (1 − β)·I of a covariance."""
    deviation = np.sqrt(np.diag(covariance))
    return beta * covariance / np.outer(deviation, deviation) + (1 - beta) * np.eye(len(covariance))


class GaussianField:
    """v(x, t) = E[ε − a | x_t = x] for a ~ N(mean, covariance) and ε ~ N(0, noise_covariance), all flattened.

    With S_t = t²·Σ + (1 − t)²·C and r = x − (1 − t)·mean:
    E[ε | x] = t·Σ·S_t⁻¹·r and E[a | x] = mean + (1 − t)·C·S_t⁻¹·r.
    """

    def __init__(self, mean: np.ndarray, covariance: np.ndarray, noise_covariance: np.ndarray):
        self.mean, self.covariance, self.noise = (torch.tensor(v) for v in (mean, covariance, noise_covariance))

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        now = t[0].double()
        mixture = now**2 * self.noise + (1 - now) ** 2 * self.covariance
        residual = x.flatten(1).double() - (1 - now) * self.mean
        weighted = torch.linalg.solve(mixture, residual.T).T
        velocity = now * weighted @ self.noise - self.mean - (1 - now) * weighted @ self.covariance
        return velocity.to(x.dtype).view_as(x)
