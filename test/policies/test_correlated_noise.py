import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prana_ros.policies.correlated_noise import (
    JITTER,
    ActionStatistics,
    CorrelatedNoise,
    fit_noise,
)
from prana_ros.policies.flow_matching import interpolate, velocity_target

CHUNK = 5


def random_walks(count: int, length: int, joints: int = 3, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, joints)).cumsum(0) * 0.3 for _ in range(count)]


def brute_force_chunks(episodes: list[np.ndarray]) -> np.ndarray:
    rows = [e[i : i + CHUNK].reshape(-1) for e in episodes for i in range(len(e)) if i + CHUNK <= len(e)]
    return np.array(rows)


def brute_force_shrinkage(chunks: np.ndarray) -> float:
    """Ledoit and Wolf's formula, chunk by chunk, for N / H independent ones."""
    z = (chunks - chunks.mean(0)) / chunks.std(0)
    correlation = np.corrcoef(chunks.T)
    scatter = np.mean([np.sum((np.outer(row, row) - correlation) ** 2) for row in z])
    return min(1.0, scatter / (len(z) / CHUNK) / np.sum((correlation - np.eye(len(correlation))) ** 2))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_fit_is_the_shrunk_correlation_of_all_whole_chunks(beta):
    episodes = random_walks(40, 12)
    chunks = brute_force_chunks(episodes)
    shrinkage = brute_force_shrinkage(chunks)
    shrunk = (1 - shrinkage) * np.corrcoef(chunks.T) + shrinkage * np.eye(chunks.shape[1])
    expected = beta * shrunk + (1 - beta + JITTER) * np.eye(chunks.shape[1])

    fit = fit_noise(episodes, CHUNK, beta)

    assert fit.num_chunks == len(chunks)
    assert fit.shrinkage == pytest.approx(shrinkage)
    np.testing.assert_allclose(fit.cholesky @ fit.cholesky.T, expected, atol=1e-10)
    deviation = chunks.std(0)
    np.testing.assert_allclose(fit.covariance, shrunk * np.outer(deviation, deviation), atol=1e-10)


def test_few_chunks_are_shrunk_more_than_many():
    few, many = fit_noise(random_walks(2, 9), CHUNK), fit_noise(random_walks(200, 30), CHUNK)
    assert few.shrinkage > 0.1 > 0.01 > many.shrinkage


def test_a_joint_that_never_moves_gets_the_identitys_rows():
    episodes = random_walks(20, 12)
    for episode in episodes:
        episode[:, 1] = 0.7
    fit = fit_noise(episodes, CHUNK, beta=1.0)
    sigma = fit.cholesky @ fit.cholesky.T
    constant = np.arange(CHUNK) * 3 + 1
    np.testing.assert_allclose(sigma[constant], np.eye(CHUNK * 3)[constant] * (1 + JITTER), atol=1e-12)
    np.testing.assert_array_equal(fit.covariance[constant], 0)
    assert np.isfinite(fit.cholesky).all()


def test_episodes_shorter_than_a_chunk_are_left_out():
    long = random_walks(20, 12)
    with_short = [*long, np.full((CHUNK - 1, 3), 100.0)]
    np.testing.assert_array_equal(fit_noise(with_short, CHUNK).cholesky, fit_noise(long, CHUNK).cholesky)


def test_only_short_episodes_are_refused_with_both_lengths():
    with pytest.raises(ValueError, match=r"chunk_size is 5.*has 4 frames"):
        fit_noise(random_walks(3, 4), CHUNK)


def test_an_action_that_is_not_finite_is_refused():
    episodes = random_walks(3, 9)
    episodes[1][4, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_noise(episodes, CHUNK)


@settings(max_examples=30)
@given(arrays(np.float64, (3, 9, 2), elements=st.floats(-100, 100)), st.floats(0, 0.99))
def test_any_dataset_gives_a_valid_correlation(actions, beta):
    fit = fit_noise(list(actions), CHUNK, beta)
    sigma = fit.cholesky @ fit.cholesky.T
    np.testing.assert_allclose(np.diag(sigma), 1 + JITTER)
    assert np.linalg.eigvalsh(sigma).min() >= (1 - beta) * 0.99
    assert np.linalg.eigvalsh(fit.covariance).min() >= -1e-6 * max(1, np.abs(fit.covariance).max())


def fitted_noise() -> CorrelatedNoise:
    noise = CorrelatedNoise(CHUNK, 3)
    noise.set_fit(fit_noise(random_walks(40, 12), CHUNK), ActionStatistics.of([0.0], [1.0]))
    return noise


def test_samples_have_the_regularised_correlation_as_covariance():
    noise = fitted_noise()
    samples = noise.sample(200_000, generator=torch.Generator().manual_seed(0)).flatten(1).double()
    covariance = samples.T @ samples / len(samples)
    # The standard error of a covariance of unit-variance Gaussians is at most √(2 / n).
    assert (covariance - noise.correlation()).abs().max() < 5 * np.sqrt(2 / len(samples))
    assert samples.mean(0).abs().max() < 5 / np.sqrt(len(samples))


def test_it_is_ordinary_flow_matching_of_the_whitened_chunks():
    """With y = L⁻¹a, the same z and t: x_t = L·y_t, targets map alike, and the loss is the metric LᵀL of y's error."""
    noise = fitted_noise().double()
    lower = noise.cholesky
    white, action, guess = torch.randn(3, 4, CHUNK, 3, dtype=torch.float64)
    whitened = torch.linalg.solve_triangular(lower, action.flatten(1).T, upper=False).T
    t = torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64)

    x_t = interpolate(action, noise.colour(white), t[:, None, None]).flatten(1)
    y_t = interpolate(whitened, white.flatten(1), t[:, None])
    torch.testing.assert_close(x_t, y_t @ lower.T)

    error_a = guess.flatten(1) @ lower.T - velocity_target(action, noise.colour(white)).flatten(1)
    error_y = guess.flatten(1) - velocity_target(whitened, white.flatten(1))
    in_metric = torch.einsum("bi,ij,bj->b", error_y, lower.T @ lower, error_y)
    torch.testing.assert_close(error_a.square().sum(1), in_metric)


def test_a_refit_changes_nothing():
    first, second = fitted_noise(), fitted_noise()
    second.set_fit(fit_noise(random_walks(40, 12), CHUNK), ActionStatistics.of([0.0], [1.0]))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


def test_unfitted_noise_says_so_and_a_fit_belongs_to_its_statistics():
    mean, std = np.array([1.0, 2.0]), np.array([0.5, 0.25])
    noise = CorrelatedNoise(CHUNK, 3)
    assert not noise.is_fitted
    assert not noise.fitted_under(ActionStatistics.of(mean, std))
    noise.set_fit(fit_noise(random_walks(40, 12), CHUNK), ActionStatistics.of(mean, std))
    assert noise.fitted_under(ActionStatistics.of(torch.tensor(mean), torch.tensor(std).float()))
    assert not noise.fitted_under(ActionStatistics.of(mean, std * 1.001))
    assert not noise.fitted_under(ActionStatistics.of(std, mean))


def test_the_learned_covariance_forgets_its_beginning_and_converges_to_the_residuals():
    noise = fitted_noise()
    factor = torch.randn(CHUNK * 3, CHUNK * 3, generator=torch.Generator().manual_seed(0)) * 0.1
    generator = torch.Generator().manual_seed(1)
    cholesky = noise.cholesky.clone()
    for _ in range(400):
        white = torch.randn(50, CHUNK * 3, generator=generator)
        noise.learn_covariance((white @ factor.T).view(50, CHUNK, 3))
    true = factor @ factor.T
    assert (noise.covariance - true).norm() < 0.05 * true.norm()
    assert torch.equal(noise.cholesky, cholesky)


def test_a_batch_without_residuals_teaches_nothing():
    noise, untouched = fitted_noise(), fitted_noise()
    noise.learn_covariance(torch.empty(0, CHUNK, 3))
    torch.testing.assert_close(noise.state_dict(), untouched.state_dict())
