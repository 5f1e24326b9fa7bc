"""Noise with the correlation of the training set's action chunks.

Smooth chunks from smooth noise: with Σ the correlation matrix of the normalized, flattened chunks (H·A entries),

    Σ_reg = β·Σ + (1 − β)·I,    L·Lᵀ = Σ_reg,    ε = L·z,    z ~ N(0, I).

Flow matching of a with this noise is ordinary flow matching of y = L⁻¹·a with the loss metric LᵀL. The policy keeps
L in its checkpoint, beside a flag that it was fitted and a hash of the normalization statistics in which it was.

Inpainting needs C, the covariance of a chunk given the observation. It begins as the covariance of all chunks and is
learned in training, from what the network's prediction at t near 1, where x_t says next to nothing, leaves over. The
covariance of all chunks will not do: by far most of it is where the arm is, which the observation tells. With it a
small disagreement between the running plan and the new prediction would move all of the new chunk, and the policy
would go on along its old errors instead of correcting them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from prana_ros.policies.precision import full_precision

JITTER = 1e-6
CONSTANT_STD = 1e-6
NORMALIZER_EPSILON = 1e-8  # LeRobot's NormalizerProcessorStep adds it to the standard deviation
HASH_BYTES = 32
RESIDUAL_DECAY = 0.999


class UnfittedNoiseError(RuntimeError):
    """The policy's noise was not fitted, or was fitted under other normalization statistics."""


@dataclass(frozen=True)
class NoiseFit:
    """Result of :func:`fit_noise`; d = H·A.

    Attributes:
        cholesky: L (d, d), lower triangular, float64.
        covariance: of all normalized chunks (d, d), float64, shrunk as the correlation is: what C begins as.
        num_chunks: whole chunks seen.
        shrinkage: λ in [0, 1] towards the identity.
    """

    cholesky: np.ndarray
    covariance: np.ndarray
    num_chunks: int
    shrinkage: float


@dataclass(frozen=True)
class ActionStatistics:
    """Mean and standard deviation of the action (A,): the normalization in which noise is fitted."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, mean: ArrayLike, std: ArrayLike) -> "ActionStatistics":
        """From whatever holds the numbers."""
        return cls(np.asarray(mean, np.float64).ravel(), np.asarray(std, np.float64).ravel())

    def normalize(self, actions: np.ndarray) -> np.ndarray:
        """Actions (..., A) as LeRobot's processor normalizes them."""
        return (actions - self.mean) / (self.std + NORMALIZER_EPSILON)

    def digest(self) -> bytes:
        """32 bytes that identify the statistics, at the float32 precision in which processors store them."""
        return hashlib.sha256(np.stack([self.mean, self.std]).astype("<f4").tobytes()).digest()


def _whole_chunks(actions: np.ndarray, chunk_size: int) -> np.ndarray:
    """All windows of ``chunk_size`` steps inside one episode (T, A), flattened: (T − H + 1, H·A)."""
    windows = np.lib.stride_tricks.sliding_window_view(actions, chunk_size, axis=0)
    return windows.transpose(0, 2, 1).reshape(len(windows), -1)


def _shrinkage(correlation: np.ndarray, fourth_moment: float, independent: float) -> float:
    """Ledoit and Wolf's optimal weight (2004, lemma 3.4) towards the identity, for standardised entries.

    Args:
        fourth_moment: mean of |z|⁴ over the standardised chunks.
        independent: number of independent samples.
    """
    distance = np.square(correlation - np.eye(len(correlation))).sum()
    if distance == 0:
        return 1.0
    variance = (fourth_moment - np.square(correlation).sum()) / independent
    return float(np.clip(variance / distance, 0, 1))


def fit_noise(episodes: Iterable[np.ndarray], chunk_size: int, beta: float = 0.5) -> NoiseFit:
    """Fit L and C to the whole chunks of normalized episodes, each (T, A).

    Windows one step apart are nearly the same chunk: the shrinkage counts T / H independent ones in an episode.
    Entries that never vary get the identity's rows in the correlation and zeros in the covariance.

    Raises:
        ValueError: if no episode is as long as a chunk, or an action is not finite.
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"noise_beta must be in [0, 1], got {beta}")
    all_episodes = [np.asarray(episode, dtype=np.float64) for episode in episodes]
    if not all(np.isfinite(actions).all() for actions in all_episodes):
        raise ValueError("cannot fit the noise: the dataset has an action that is not finite")
    kept = [actions for actions in all_episodes if len(actions) >= chunk_size]
    if not kept:
        longest = max(map(len, all_episodes), default=0)
        raise ValueError(
            f"cannot fit the noise: chunk_size is {chunk_size}, but the longest episode has {longest} frames; "
            "allowed: a chunk_size not above the longest episode"
        )
    frames = sum(map(len, kept))
    count = frames - len(kept) * (chunk_size - 1)

    def chunks() -> Iterator[np.ndarray]:  # made anew for each pass: all windows at once would not fit in memory
        return (_whole_chunks(actions, chunk_size) for actions in kept)

    mean = sum(w.sum(0) for w in chunks()) / count
    second = sum((w - mean).T @ (w - mean) for w in chunks()) / count
    std = np.sqrt(np.diag(second))
    varies = std > CONSTANT_STD
    scale = np.where(varies, std, 1.0)
    correlation = np.where(np.outer(varies, varies), second / np.outer(scale, scale), 0.0)
    np.fill_diagonal(correlation, 1.0)

    fourth = sum((np.square((w - mean) / scale)[:, varies].sum(1) ** 2).sum() for w in chunks()) / count
    block = correlation[np.ix_(varies, varies)]
    shrinkage = _shrinkage(block, fourth, frames / chunk_size)
    identity = np.eye(len(correlation))
    correlation = (1 - shrinkage) * correlation + shrinkage * identity
    regularised = beta * correlation + (1 - beta) * identity + JITTER * identity
    deviation = np.where(varies, std, 0.0)
    return NoiseFit(
        cholesky=np.linalg.cholesky(regularised),
        covariance=correlation * np.outer(deviation, deviation),
        num_chunks=count,
        shrinkage=shrinkage,
    )


class CorrelatedNoise(nn.Module):
    """L, C, the flag and the hash as buffers of a policy. Unfitted: white noise, C the identity."""

    def __init__(self, chunk_size: int, action_dim: int):
        super().__init__()
        self.chunk_size = chunk_size
        self.action_dim = action_dim
        size = chunk_size * action_dim
        self.register_buffer("cholesky", torch.eye(size))
        self.register_buffer("covariance", torch.eye(size))
        self.register_buffer("noise_is_fitted", torch.tensor(False))
        self.register_buffer("statistics_hash", torch.zeros(HASH_BYTES, dtype=torch.uint8))
        self.register_buffer("residual_updates", torch.tensor(0))

    @property
    def is_fitted(self) -> bool:
        """Whether L and C come from data."""
        return bool(self.noise_is_fitted)

    def fitted_under(self, statistics: ActionStatistics) -> bool:
        """Whether the noise was fitted, and to actions normalized by these statistics."""
        return self.is_fitted and bytes(self.statistics_hash.tolist()) == statistics.digest()

    def set_fit(self, fit: NoiseFit, statistics: ActionStatistics) -> None:
        """Take over a fit made to actions normalized by these statistics."""
        with torch.no_grad():
            self.cholesky.copy_(torch.from_numpy(fit.cholesky))
            self.covariance.copy_(torch.from_numpy(fit.covariance))
            self.statistics_hash.copy_(torch.tensor(list(statistics.digest()), dtype=torch.uint8))
            self.noise_is_fitted.fill_(True)
            self.residual_updates.zero_()

    @torch.no_grad()
    def learn_covariance(self, residuals: Tensor) -> None:
        """Move C towards the second moment of residuals (n, H, A): actions minus their prediction from observations.

        A running average with the decay of the averaged weights: min(0.999, (1 + k) / (10 + k)) after k updates.
        """
        if not len(residuals):
            return
        flat = residuals.flatten(1).to(self.covariance.dtype)
        k = int(self.residual_updates)
        decay = min(RESIDUAL_DECAY, (1 + k) / (10 + k))
        with full_precision(flat):
            self.covariance.lerp_(flat.T @ flat / len(flat), 1 - decay)
        self.residual_updates += 1

    def correlation(self) -> Tensor:
        """Σ_reg = L·Lᵀ, float64 (d, d)."""
        cholesky = self.cholesky.double()
        return cholesky @ cholesky.T

    def color(self, white: Tensor) -> Tensor:
        """ε = L·z for white noise (..., H, A)."""
        with full_precision(white):  # rounded noise would not be smooth
            return (white.flatten(-2) @ self.cholesky.T).view_as(white)

    def sample(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise chunks (*shape, H, A), on the buffers' device unless the generator is on another."""
        device = self.cholesky.device if generator is None else generator.device
        white = torch.randn(*shape, self.chunk_size, self.action_dim, generator=generator, device=device)
        return self.color(white.to(self.cholesky.device, self.cholesky.dtype))
