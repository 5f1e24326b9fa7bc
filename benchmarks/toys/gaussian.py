"""Gaussian action chunks: the exact velocity field is known, and so is the mean of what continues given actions.

Everything is linear there: a sampled chunk is K_P·prefix + K_N·noise. The two matrices are read off the real sampler by
giving it unit vectors, so that bias, spread and roughness are exact numbers and not estimates from samples.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prana_ros.policies.flow_matching import euler, time_grid
from prana_ros.policies.inpainting import PLAN_ERROR, Inpainting, inpainting_gains

METHODS = ("regression", "uncertain", "constant", "overwrite", "none")
"""How a chunk takes account of its prefix: M_t with true given actions; M_t with an error of them, as in the policies;
the regression in the noise at every time, the published variant; the given entries set and the others left; nothing at
all, the prefix only put in front of a chunk that knows nothing of it."""


def matern_covariance(steps: int, joints: int, length: float = 6.0, smoothness: float = 2.5) -> np.ndarray:
    """Covariance (H·A, H·A) of independent joints, each a Matérn process over the steps, of unequal variance.

    Args:
        length: correlation length in steps.
        smoothness: ν = 2.5 (twice differentiable) or 1.5 (once).
    """
    distance = np.sqrt(2 * smoothness) * np.abs(np.subtract.outer(np.arange(steps), np.arange(steps))) / length
    polynomial = 1 + distance if smoothness == 1.5 else 1 + distance + distance**2 / 3
    return np.kron(polynomial * np.exp(-distance), np.diag(np.linspace(0.6, 1.4, joints)))


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
        """Velocities of x (B, …) at the time of the first of ``t`` (B,), in x's precision."""
        now = t[0].double()
        mixture = now**2 * self.noise + (1 - now) ** 2 * self.covariance
        residual = x.flatten(1).double() - (1 - now) * self.mean
        weighted = torch.linalg.solve(mixture, residual.T).T
        velocity = now * weighted @ self.noise - self.mean - (1 - now) * weighted @ self.covariance
        return velocity.to(x.dtype).view_as(x)


@dataclass(frozen=True)
class Continuation:
    """A Gaussian with zero mean over chunks (steps, joints), of which the first ``prefix`` steps are given."""

    covariance: np.ndarray
    steps: int
    joints: int
    prefix: int
    beta: float = 0.5

    @property
    def given(self) -> int:
        """Number of given entries."""
        return self.prefix * self.joints

    @property
    def noise(self) -> np.ndarray:
        """Σ_reg."""
        return correlation_of(self.covariance, self.beta)

    def regression(self) -> np.ndarray:
        """C_UO·C_OO⁻¹: from given entries to the mean of the free ones."""
        known = self.covariance[: self.given]
        return np.linalg.solve(known[:, : self.given], known[:, self.given :]).T

    def sampler(
        self, method: str, velocity_error: float = 0.0, inference_steps: int = 10, seed: int = 0
    ) -> "LinearSampler":
        """The policies' sampler on this toy, one of ``METHODS``.

        Args:
            velocity_error: relative size of a fixed linear error of the velocity field, drawn with ``seed``.
        """
        size = len(self.covariance)
        inputs = torch.eye(self.given + size, dtype=torch.float64)
        prefix = inputs[:, : self.given].unflatten(1, (self.prefix, self.joints))
        noise = inputs[:, self.given :].unflatten(1, (self.steps, self.joints))
        field = GaussianField(np.zeros(size), self.covariance, self.noise)
        wrong = torch.tensor(np.random.default_rng(seed).standard_normal((size, size)) / np.sqrt(size))

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            exact = field(x, t)
            return exact + velocity_error * (exact.flatten(1) @ wrong).view_as(exact)

        grid = time_grid(inference_steps)
        correct = None if method == "none" else Inpainting(prefix, noise, grid[1:], self._gains(method, grid[1:]))
        chunks = euler(velocity, noise, grid, correct).flatten(1)
        chunks[:, : self.given] = prefix.flatten(1) if method == "none" else chunks[:, : self.given]
        matrix = chunks.numpy().T
        return LinearSampler(self, matrix[:, : self.given], matrix[:, self.given :])

    def _gains(self, method: str, times: Tensor) -> Tensor:
        covariance, noise = torch.tensor(self.covariance), torch.tensor(self.noise)
        if method == "constant":
            return inpainting_gains(noise, noise, times, self.given).double()
        error = PLAN_ERROR * covariance if method == "uncertain" else None
        gains = inpainting_gains(noise, covariance, times, self.given, error).double()
        return torch.zeros_like(gains) if method == "overwrite" else gains


@dataclass(frozen=True)
class LinearSampler:
    """chunk = ``from_prefix``·prefix + ``from_noise``·noise, flattened."""

    toy: Continuation
    from_prefix: np.ndarray
    from_noise: np.ndarray

    def mean_bias(self, regression: np.ndarray | None = None) -> np.ndarray:
        """For each free entry, the root mean square over true prefixes of mean − conditional mean, in standard
        deviations of that entry. ``regression``: what gives the conditional mean; the toy's own if None."""
        toy = self.toy
        expected = toy.regression() if regression is None else regression
        error = self.from_prefix[toy.given :] - expected
        square = np.einsum("ij,jk,ik->i", error, toy.covariance[: toy.given, : toy.given], error)
        return np.sqrt(square / np.diag(toy.covariance)[toy.given :])

    def spread(self) -> float:
        """Standard deviation of the continuations of one prefix, relative to the conditional one (root mean square)."""
        toy = self.toy
        free = self.from_noise[toy.given :]
        conditional = (
            toy.covariance[toy.given :, toy.given :] - toy.regression() @ toy.covariance[: toy.given, toy.given :]
        )
        return float(np.sqrt(np.trace(free @ toy.noise @ free.T) / np.trace(conditional)))

    def seam(self) -> float:
        """Root mean square second difference across the seam, in multiples of that of true chunks."""
        toy = self.toy
        prefixes = toy.covariance[: toy.given, : toy.given]
        joint = self.from_prefix @ prefixes @ self.from_prefix.T + self.from_noise @ toy.noise @ self.from_noise.T
        return float(np.sqrt(self._roughness(joint) / self._roughness(toy.covariance)))

    def _roughness(self, covariance: np.ndarray) -> float:
        """Summed variance of the second differences that have steps on both sides of the seam."""
        toy = self.toy
        first = range(max(0, toy.prefix - 2), min(toy.prefix, toy.steps - 2))
        rows = np.eye(toy.steps)
        differences = np.array([rows[i] - 2 * rows[i + 1] + rows[i + 2] for i in first])
        operator = np.kron(differences, np.eye(toy.joints))
        return float(np.trace(operator @ covariance @ operator.T))
