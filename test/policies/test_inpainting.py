import numpy as np
import pytest
import torch
from support.gaussian import GaussianField, correlation_of, smooth_covariance

from prana_ros.policies import inpainting
from prana_ros.policies.flow_matching import euler, time_grid
from prana_ros.policies.inpainting import TIME_FLOOR, Inpainting, inpainting_gains

STEPS, JOINTS, PREFIX = 24, 2, 6
SIZE, GIVEN = STEPS * JOINTS, PREFIX * JOINTS
COVARIANCE = smooth_covariance(STEPS, JOINTS)
NOISE = correlation_of(COVARIANCE, 0.5)
SAMPLES = 4000


def test_the_gains_are_the_regression_of_the_free_entries_on_the_given_ones():
    times = time_grid(10)[1:]
    gains = inpainting_gains(torch.tensor(NOISE), torch.tensor(COVARIANCE), times, GIVEN)
    for gain, time in zip(gains.numpy(), times.tolist(), strict=True):
        t = max(time, TIME_FLOOR)
        joint = t * t * NOISE + (1 - t) ** 2 * COVARIANCE
        expected = joint[GIVEN:, :GIVEN] @ np.linalg.inv(joint[:GIVEN, :GIVEN])
        np.testing.assert_allclose(gain, expected, rtol=1e-5, atol=1e-6)


def test_with_uncertain_given_entries_the_gains_are_the_regression_on_what_was_seen_of_them():
    """x_O is seen through an error of (1 − t)²·E: the least-squares oracle is a simulated sample of that."""
    error = 0.3 * COVARIANCE
    time = 0.3
    gain = inpainting_gains(
        torch.tensor(NOISE), torch.tensor(COVARIANCE), torch.tensor([time]), GIVEN, torch.tensor(error)
    )[0]
    joint = time**2 * NOISE + (1 - time) ** 2 * COVARIANCE
    x = draw(joint, 200_000, seed=5).flatten(1)
    seen = x[:, :GIVEN] + (1 - time) * draw(error, 200_000, seed=6).flatten(1)[:, :GIVEN]
    fitted = torch.linalg.lstsq(seen, x[:, GIVEN:]).solution.T
    assert (gain - fitted).abs().max() < 0.05


def draw(covariance: np.ndarray, count: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((count, SIZE)) @ np.linalg.cholesky(covariance).T
    return torch.tensor(samples).view(count, STEPS, JOINTS)


def continue_chunks(method: str, error: float = 0.0, inference_steps: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Prefixes of true chunks, and chunks sampled to continue them by one of three methods.

    Args:
        error: relative size of a fixed linear error of the velocity field.
    """
    prefix = draw(COVARIANCE, SAMPLES, seed=1)[:, :PREFIX]
    noise = draw(NOISE, SAMPLES, seed=2)
    field = GaussianField(np.zeros(SIZE), COVARIANCE, NOISE)
    distortion = torch.tensor(np.random.default_rng(3).standard_normal((SIZE, SIZE)) / np.sqrt(SIZE))

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        v = field(x, t)
        return v + error * (v.flatten(1) @ distortion).view_as(v)

    grid = time_grid(inference_steps)
    gains = inpainting_gains(torch.tensor(NOISE), torch.tensor(COVARIANCE), grid[1:], GIVEN).double()
    if method == "overwrite":
        gains = torch.zeros_like(gains)
    elif method == "constant":  # the published variant: the regression in the noise, at every time
        gains = inpainting_gains(torch.tensor(NOISE), torch.tensor(NOISE), grid[1:], GIVEN).double()
    return prefix, euler(velocity, noise, grid, Inpainting(prefix, noise, grid[1:], gains))


def seam(chunks: torch.Tensor) -> float:
    """Root mean square second difference at the seam, in multiples of that of true chunks."""

    def roughness(x: torch.Tensor) -> torch.Tensor:
        window = x[:, PREFIX - 2 : PREFIX + 2]
        return window.diff(n=2, dim=1).square().mean().sqrt()

    return float(roughness(chunks) / roughness(draw(COVARIANCE, SAMPLES, seed=4)))


def test_the_prefix_comes_back_exactly():
    prefix, chunks = continue_chunks("regression")
    torch.testing.assert_close(chunks[:, :PREFIX], prefix, rtol=0, atol=1e-12)


def mean_bias() -> float:
    """How far the continuations' mean lies from the conditional mean, in standard deviations, in the worst entry.

    For Gaussian actions the sampler is linear in prefix and noise, so its mean is read off from unit prefixes and no
    noise, without sampling.
    """
    grid = time_grid(10)
    gains = inpainting_gains(torch.tensor(NOISE), torch.tensor(COVARIANCE), grid[1:], GIVEN).double()
    prefix = torch.eye(GIVEN, dtype=torch.float64).view(GIVEN, PREFIX, JOINTS)
    noise = torch.zeros(GIVEN, STEPS, JOINTS, dtype=torch.float64)
    field = GaussianField(np.zeros(SIZE), COVARIANCE, NOISE)
    chunks = euler(field, noise, grid, Inpainting(prefix, noise, grid[1:], gains))
    regression = COVARIANCE[GIVEN:, :GIVEN] @ np.linalg.inv(COVARIANCE[:GIVEN, :GIVEN])
    error = chunks.flatten(1)[:, GIVEN:].numpy().T - regression
    bias = np.sqrt(np.diag(error @ COVARIANCE[:GIVEN, :GIVEN] @ error.T))
    return float((bias / np.sqrt(np.diag(COVARIANCE))[GIVEN:]).max())


def test_the_continuations_mean_is_the_conditional_mean(monkeypatch):
    with_floor = mean_bias()
    monkeypatch.setattr(inpainting, "TIME_FLOOR", 1e-4)
    assert mean_bias() < 0.05
    # What the floor on t costs where the velocity is exact; it is there for networks, whose velocity is not.
    assert 0.05 < with_floor < 0.2


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_seams_are_nearly_as_smooth_as_the_data(error):
    seams = {m: seam(continue_chunks(m, error)[1]) for m in ("regression", "constant", "overwrite")}
    assert seams["regression"] <= 1.4, seams
    assert seams["regression"] < seams["constant"] < seams["overwrite"], seams
