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
from prana_ros.policies.flow_matching import euler, interpolate, masked_mse, time_grid, velocity_target

CHUNK = 5


def random_walks(count: int, length: int, joints: int = 3, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, joints)).cumsum(0) * 0.3 for _ in range(count)]


def brute_force_chunks(episodes: list[np.ndarray]) -> np.ndarray:
    rows = [e[i : i + CHUNK].reshape(-1) for e in episodes for i in range(len(e)) if i + CHUNK <= len(e)]
    return np.array(rows)


def brute_force_shrinkage(episodes: list[np.ndarray]) -> float:
    """Ledoit and Wolf's formula, chunk by chunk, where an episode of T steps holds T / H independent ones."""
    chunks = brute_force_chunks(episodes)
    independent = sum(len(e) for e in episodes if len(e) >= CHUNK) / CHUNK
    z = (chunks - chunks.mean(0)) / chunks.std(0)
    correlation = np.corrcoef(chunks.T)
    scatter = np.mean([np.sum((np.outer(row, row) - correlation) ** 2) for row in z])
    return min(1.0, scatter / independent / np.sum((correlation - np.eye(len(correlation))) ** 2))


def shrunk_correlation(episodes: list[np.ndarray]) -> np.ndarray:
    chunks = brute_force_chunks(episodes)
    shrinkage = brute_force_shrinkage(episodes)
    return (1 - shrinkage) * np.corrcoef(chunks.T) + shrinkage * np.eye(chunks.shape[1])


@settings(max_examples=20)
@given(st.floats(0, 1), st.integers(2, 40))
def test_the_fit_is_the_shrunk_correlation_of_all_whole_chunks(beta, count):
    episodes = random_walks(count, 12)
    chunks = brute_force_chunks(episodes)
    shrunk = shrunk_correlation(episodes)

    fit = fit_noise(episodes, CHUNK, beta)

    assert fit.num_chunks == len(chunks)
    assert fit.shrinkage == pytest.approx(brute_force_shrinkage(episodes))
    expected = beta * shrunk + (1 - beta + JITTER) * np.eye(chunks.shape[1])
    np.testing.assert_allclose(fit.cholesky @ fit.cholesky.T, expected, atol=1e-10)
    deviation = chunks.std(0)
    np.testing.assert_allclose(fit.covariance, shrunk * np.outer(deviation, deviation), atol=1e-10)


@pytest.mark.parametrize("beta", [-0.1, 1.1, float("nan")])
def test_an_impossible_beta_is_refused(beta):
    with pytest.raises(ValueError, match=r"noise_beta must be in \[0, 1\], got"):
        fit_noise(random_walks(3, 9), CHUNK, beta)


@given(arrays(np.float64, 3, elements=st.floats(0.01, 100)), arrays(np.float64, 3, elements=st.floats(-100, 100)))
def test_the_noise_does_not_depend_on_a_joints_scale_and_offset(scale, offset):
    episodes = random_walks(6, 12)
    moved = fit_noise([episode * scale + offset for episode in episodes], CHUNK)
    np.testing.assert_allclose(moved.cholesky, fit_noise(episodes, CHUNK).cholesky, atol=1e-6)


def test_shrinking_brings_few_chunks_nearer_to_the_truth():
    """The truth: each joint's own autoregressive process, whose correlation is ρ to the power of the distance."""
    rho, errors = 0.7, []
    distance = np.abs(np.subtract.outer(np.arange(CHUNK), np.arange(CHUNK)))
    truth = np.kron(rho**distance, np.eye(3))
    rng = np.random.default_rng(0)
    for _ in range(20):
        episodes = [np.linalg.cholesky(truth) @ rng.standard_normal(CHUNK * 3) for _ in range(12)]
        episodes = [chunk.reshape(CHUNK, 3) for chunk in episodes]
        fit = fit_noise(episodes, CHUNK, beta=1.0)
        raw = np.corrcoef(np.array(episodes).reshape(12, -1).T)
        errors.append([np.linalg.norm(each - truth) for each in (fit.cholesky @ fit.cholesky.T, raw)])
        assert 0 < fit.shrinkage < 1
    shrunk, unshrunk = np.mean(errors, axis=0)
    assert shrunk < min(unshrunk, np.linalg.norm(truth - np.eye(CHUNK * 3)))


def test_a_single_chunk_says_nothing_about_correlation():
    fit = fit_noise(random_walks(1, CHUNK), CHUNK)
    np.testing.assert_allclose(fit.cholesky @ fit.cholesky.T, np.eye(CHUNK * 3) * (1 + JITTER))
    np.testing.assert_array_equal(fit.covariance, 0)


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
    expected = torch.tensor(0.5 * shrunk_correlation(random_walks(40, 12)) + 0.5 * np.eye(CHUNK * 3))
    samples = noise.sample(200_000, generator=torch.Generator().manual_seed(0)).flatten(1).double()
    covariance = samples.T @ samples / len(samples)
    torch.testing.assert_close(noise.correlation(), expected, atol=1e-5, rtol=0)
    # An entry's standard error is √((σ_ij² + 1) / n) for unit variances; 5 of them: once in 8000 runs of 225 entries.
    standard_error = ((expected.square() + 1) / len(samples)).sqrt()
    assert ((covariance - expected).abs() / standard_error).max() < 5
    assert samples.mean(0).abs().max() < 5 / np.sqrt(len(samples))


def test_it_is_ordinary_flow_matching_of_the_whitened_chunks():
    """With y = L⁻¹a, the same z and t: x_t = L·y_t, v_a = L·v_y, and loss and gradient are those of the metric LᵀL."""
    noise = fitted_noise().double()
    lower = noise.cholesky
    white, action, guess = torch.randn(3, 4, CHUNK, 3, dtype=torch.float64)
    whitened = torch.linalg.solve_triangular(lower, action.flatten(1).T, upper=False).T
    t = torch.tensor([0.1, 0.4, 0.7, 1.0], dtype=torch.float64)

    x_t = interpolate(action, noise.color(white), t[:, None, None]).flatten(1)
    y_t = interpolate(whitened, white.flatten(1), t[:, None])
    torch.testing.assert_close(x_t, y_t @ lower.T)

    target_a = velocity_target(action, noise.color(white)).flatten(1)
    target_y = velocity_target(whitened, white.flatten(1))
    torch.testing.assert_close(target_a, target_y @ lower.T)

    guess = guess.flatten(1).requires_grad_()  # of y's velocity; L·guess is the same guess of a's
    loss_a = masked_mse((guess @ lower.T).view_as(action), target_a.view_as(action), None)
    in_metric = torch.einsum("bi,ij,bj->b", guess - target_y, lower.T @ lower, guess - target_y)
    loss_y = in_metric.mean() / guess.shape[1]
    torch.testing.assert_close(loss_a, loss_y)
    (gradient,) = torch.autograd.grad(loss_a, guess)
    torch.testing.assert_close(gradient, 2 * (guess - target_y) @ (lower.T @ lower) / guess.numel())


def test_euler_steps_with_correlated_noise_are_those_of_the_whitened_flow():
    """The same network, called in y = L⁻¹x, samples L⁻¹ of the same chunks."""
    noise = fitted_noise().double()
    lower = noise.cholesky
    weight = torch.randn(CHUNK * 3, CHUNK * 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    white = torch.randn(4, CHUNK * 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def field(y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.tanh(y @ weight) * t[:, None]

    def colored(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        y = torch.linalg.solve_triangular(lower, x.T, upper=False).T
        return field(y, t) @ lower.T

    grid = time_grid(10)
    torch.testing.assert_close(euler(colored, white @ lower.T, grid), euler(field, white, grid) @ lower.T)


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


def test_mixed_precision_leaves_noise_and_covariance_exact():
    noise = CorrelatedNoise(CHUNK, 3)
    noise.set_fit(fit_noise(random_walks(3, 12), CHUNK), ActionStatistics.of(np.zeros(3), np.ones(3)))
    white, residuals = torch.randn(4, CHUNK, 3), torch.randn(6, CHUNK, 3)
    exact, covariance = noise.color(white), noise.covariance.clone()
    noise.learn_covariance(residuals)
    learned = noise.covariance.clone()
    noise.covariance.copy_(covariance)
    noise.residual_updates.zero_()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(noise.color(white), exact)
        noise.learn_covariance(residuals)
    assert torch.equal(noise.covariance, learned)
