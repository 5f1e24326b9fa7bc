import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.toys.gaussian import GaussianField, correlation_of, matern_covariance
from prana_ros.policies.flow_matching import (
    euler,
    interpolate,
    masked_mse,
    sample_time,
    time_grid,
    velocity_target,
)


def test_the_interpolant_starts_at_the_action_and_ends_at_the_noise():
    action, noise = torch.randn(2, 4, 3)
    torch.testing.assert_close(interpolate(action, noise, torch.tensor(0.0)), action)
    torch.testing.assert_close(interpolate(action, noise, torch.tensor(1.0)), noise)


def test_the_velocity_is_the_interpolants_derivative():
    action, noise = torch.randn(2, 4, 3, dtype=torch.float64)
    t = torch.tensor(0.3, dtype=torch.float64)
    derivative = torch.func.jacfwd(lambda time: interpolate(action, noise, time))(t)
    torch.testing.assert_close(velocity_target(action, noise), derivative)


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_the_true_velocity_leads_from_noise_to_the_action_in_any_number_of_steps(steps, shift):
    action, noise = torch.randn(2, 5, 8, 6, dtype=torch.float64)
    end = euler(lambda x, t: velocity_target(action, noise), noise, time_grid(steps, shift))
    torch.testing.assert_close(end, action)


def _end_statistics(steps: int, mean, covariance, noise_covariance, shift: float = 1.0):
    """Mean and covariance of the sampler's output: its map is affine for a Gaussian, so it is read off exactly."""
    field = GaussianField(mean, covariance, noise_covariance)
    size = len(mean)
    starts = torch.cat([torch.zeros(1, size), torch.eye(size)]).double()
    ends = euler(field, starts, time_grid(steps, shift)).numpy()
    matrix = (ends[1:] - ends[0]).T
    return ends[0], matrix @ noise_covariance @ matrix.T


def rough_target():
    covariance = matern_covariance(steps=6, joints=2, length=3.0)
    return np.linspace(-1, 1, len(covariance)), covariance, correlation_of(covariance, 0.5)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_euler_converges_to_a_gaussian_target_with_first_order(shift):
    mean, covariance, noise = rough_target()
    errors = []
    for steps in (40, 80, 160, 320):
        end_mean, end_covariance = _end_statistics(steps, mean, covariance, noise, shift)
        np.testing.assert_allclose(end_mean, mean, atol=1e-12)  # the mean's path is straight: Euler makes no error
        errors.append(np.abs(end_covariance - covariance).max())
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    np.testing.assert_allclose(ratios, 2, rtol=0.05)
    assert errors[-1] < 0.03


def test_a_scalar_gaussian_ends_where_the_closed_form_of_eulers_product_says():
    """With a ~ N(0, c) and ε ~ N(0, 1), v = x·(t − (1 − t)·c) / (t² + (1 − t)²·c): each step is a factor."""
    spread, steps = 0.3, 7
    factor = 1.0
    for k in range(steps):
        t = 1 - k / steps
        factor *= 1 - (t - (1 - t) * spread) / (t * t + (1 - t) ** 2 * spread) / steps
    _, covariance = _end_statistics(steps, np.zeros(1), np.array([[spread]]), np.eye(1))
    assert covariance[0, 0] == pytest.approx(factor**2)


def test_a_step_goes_from_noise_towards_data_against_the_velocity():
    """Signs and times: x at 1 is the noise, x_{t−dt} = x_t − dt·v, and the field is asked at t, not at t − dt."""
    asked = []

    def velocity(x, t):
        asked.append(t.tolist())
        return torch.full_like(x, 2.0)

    end = euler(velocity, torch.full((3, 2, 1), 5.0), torch.tensor([1.0, 0.75, 0.25, 0.0]))
    assert asked == [[1.0] * 3, [0.75] * 3, [0.25] * 3]
    torch.testing.assert_close(end, torch.full((3, 2, 1), 3.0))


def test_the_least_squares_velocity_of_samples_is_the_gaussians_field():
    """The loss's minimiser, fitted to drawn (a, ε) at one time, is the field that sampling needs: signs agree."""
    mean, covariance, noise_covariance = rough_target()
    rng = np.random.default_rng(0)
    count, time = 100_000, 0.4
    action = torch.tensor(mean + rng.standard_normal((count, len(mean))) @ np.linalg.cholesky(covariance).T)
    noise = torch.tensor(rng.standard_normal((count, len(mean))) @ np.linalg.cholesky(noise_covariance).T)
    x = interpolate(action, noise, torch.tensor(time))
    inputs = torch.cat([x, torch.ones(count, 1)], dim=1)
    fitted = inputs @ torch.linalg.lstsq(inputs, velocity_target(action, noise)).solution
    exact = GaussianField(mean, covariance, noise_covariance)(x, torch.full((count,), time))
    assert (fitted - exact).square().mean() < 1e-3 * exact.square().mean()


def test_the_correction_is_applied_after_each_step_and_sees_its_number():
    seen = []

    def correct(x, step):
        seen.append((step, float(x)))
        return x + 10

    end = euler(lambda x, t: torch.ones_like(x), torch.zeros(1, 1), time_grid(2), correct)
    assert seen == [(0, -0.5), (1, 9.0)]
    assert float(end) == 19


@pytest.mark.parametrize(("shift", "times"), [(3.0, [1.0, 0.75, 0.0]), (0.5, [1.0, 1 / 3, 0.0])])
def test_a_shift_above_one_spends_the_steps_near_the_noise(shift, times):
    torch.testing.assert_close(time_grid(2, shift), torch.tensor(times, dtype=torch.float64))


def test_times_follow_a_beta_distribution_towards_the_noise():
    torch.manual_seed(0)
    samples = np.sort(((sample_time((20000,)) - 0.001) / 0.999).numpy())
    empirical = (np.arange(len(samples)) + 0.5) / len(samples)
    # The cumulative distribution of Beta(1.5, 1) is t^1.5; 1.63 / √n is Kolmogorov's 1 % bound.
    assert np.abs(samples**1.5 - empirical).max() < 1.63 / np.sqrt(len(samples))
    assert samples.min() >= 0
    assert samples.max() <= 1


@given(st.integers(1, 50), st.floats(0.1, 10))
def test_the_grid_runs_from_noise_to_data_and_its_shift_can_be_undone(steps, shift):
    grid = time_grid(steps, shift)
    assert grid[0] == 1
    assert grid[-1] == 0
    assert torch.all(grid.diff() < 0)
    even = grid / (shift + (1 - shift) * grid)
    torch.testing.assert_close(even, torch.linspace(1, 0, steps + 1, dtype=torch.float64))


@pytest.mark.parametrize(("steps", "shift", "name"), [(0, 1.0, "num_inference_steps"), (5, 0.0, "time_grid_shift")])
def test_an_impossible_grid_is_refused_by_name(steps, shift, name):
    with pytest.raises(ValueError, match=name):
        time_grid(steps, shift)


def test_the_loss_is_the_mean_over_steps_that_count():
    prediction, target = torch.randn(2, 3, 5, 2)
    is_pad = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 1, 1, 1, 1]], dtype=torch.bool)
    squares = [
        float((p - t) ** 2)
        for row in range(3)
        for step in range(5)
        if not is_pad[row, step]
        for p, t in zip(prediction[row, step], target[row, step], strict=True)
    ]
    assert float(masked_mse(prediction, target, is_pad)) == pytest.approx(np.mean(squares), rel=1e-5)
    assert masked_mse(prediction, target, torch.zeros_like(is_pad)) == pytest.approx(
        float(masked_mse(prediction, target, None)), rel=1e-5
    )
