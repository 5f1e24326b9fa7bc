import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.toys.gaussian import Continuation, matern_covariance
from prana_ros.policies.inpainting import TIME_FLOOR, Inpainting, inpainting_gains

STEPS, JOINTS = 24, 2
TIMES = torch.linspace(0.9, 0, 10, dtype=torch.float64)


def toy(length: float = 6.0, prefix: int = 6, smoothness: float = 2.5) -> Continuation:
    return Continuation(matern_covariance(STEPS, JOINTS, length, smoothness), STEPS, JOINTS, prefix)


lengths, prefixes, smoothnesses = st.floats(3, 12), st.integers(2, 18), st.sampled_from([1.5, 2.5])


@settings(max_examples=20)
@given(lengths, st.integers(1, STEPS - 1), smoothnesses)
def test_the_gains_are_the_regression_of_the_free_entries_on_the_given_ones(length, prefix, smoothness):
    """What a regression leaves over does not correlate with what it regresses on."""
    chunks = toy(length, prefix, smoothness)
    known, free = slice(None, chunks.given), slice(chunks.given, None)
    gains = inpainting_gains(torch.tensor(chunks.noise), torch.tensor(chunks.covariance), TIMES, chunks.given)
    for gain, time in zip(gains.double().numpy(), TIMES.tolist(), strict=True):
        t = max(time, TIME_FLOOR)
        joint = t * t * chunks.noise + (1 - t) ** 2 * chunks.covariance
        np.testing.assert_allclose(joint[free, known], gain @ joint[known, known], atol=2e-5)


def test_with_uncertain_given_entries_the_gains_are_the_regression_on_what_was_seen_of_them():
    """x_O is seen through an error of (1 − t)²·E: the least-squares oracle is a simulated sample of that."""
    chunks, count, time = toy(), 200_000, 0.3
    error = 0.3 * chunks.covariance
    matrices = (torch.tensor(matrix) for matrix in (chunks.noise, chunks.covariance))
    gain = inpainting_gains(*matrices, torch.tensor([time]), chunks.given, torch.tensor(error))[0]
    rng = np.random.default_rng(5)

    def draw(covariance: np.ndarray) -> np.ndarray:
        return rng.standard_normal((count, len(covariance))) @ np.linalg.cholesky(covariance).T

    x = draw(time**2 * chunks.noise + (1 - time) ** 2 * chunks.covariance)
    seen = x[:, : chunks.given] + (1 - time) * draw(error)[:, : chunks.given]
    fitted = np.linalg.lstsq(seen, x[:, chunks.given :], rcond=None)[0].T
    assert np.abs(gain.numpy() - fitted).max() < 0.05


def test_joints_that_never_move_neither_break_the_gains_nor_are_moved():
    chunks = toy()
    still = np.arange(STEPS) * JOINTS + 1
    covariance, noise = chunks.covariance.copy(), chunks.noise.copy()
    covariance[still] = covariance[:, still] = 0
    noise[still] = noise[:, still] = 0
    noise[still, still] = 1
    gains = inpainting_gains(
        torch.tensor(noise).float(), torch.tensor(covariance).float(), TIMES, chunks.given
    ).unflatten(1, (-1, JOINTS))
    assert torch.isfinite(gains).all()
    assert (gains[:, :, 0].abs().amax((1, 2)) > 0.1).all()
    assert (gains[:, :, 1] == 0).all()


def test_the_correction_moves_given_entries_onto_their_path_and_carries_the_others_along():
    prefix, x = torch.randn(3, 2, 2), torch.randn(3, 5, 2)
    noise, gains = torch.randn(3, 5, 2), torch.randn(2, 6, 4)
    times = torch.tensor([0.4, 0.0])
    corrected = Inpainting(prefix, noise, times, gains)(x, 0)
    for row in range(3):
        wanted = 0.6 * prefix[row].flatten() + 0.4 * noise[row, :2].flatten()
        moved = wanted - x[row, :2].flatten()
        torch.testing.assert_close(corrected[row, :2].flatten(), wanted)
        torch.testing.assert_close(corrected[row, 2:].flatten(), x[row, 2:].flatten() + gains[0] @ moved)


@pytest.mark.parametrize("method", ["regression", "uncertain", "constant"])
def test_the_prefix_comes_back_exactly(method):
    chunks = toy()
    sampler = chunks.sampler(method, velocity_error=0.3)
    np.testing.assert_array_equal(sampler.from_prefix[: chunks.given], np.eye(chunks.given))
    np.testing.assert_array_equal(sampler.from_noise[: chunks.given], 0)


@settings(max_examples=15)
@given(st.floats(6, 12), st.integers(3, 18))
def test_the_continuations_mean_is_the_conditional_mean(length, prefix):
    assert toy(length, prefix).sampler("regression").mean_bias().max() < 0.05


@settings(max_examples=15)
@given(lengths, prefixes, smoothnesses)
def test_rougher_actions_and_short_prefixes_cost_a_little_of_the_mean(length, prefix, smoothness):
    """Ten steps leave up to 0.104 of a standard deviation there, in the entries next to the seam, whatever the floor;
    the floor of 0.05 that the design began with leaves up to 0.25 where actions are smooth."""
    assert toy(length, prefix, smoothness).sampler("regression").mean_bias().max() < 0.11


@pytest.mark.parametrize(("length", "prefix", "smoothness"), [(6, 6, 2.5), (4, 12, 2.5), (8, 3, 1.5)])
def test_the_continuations_spread_is_the_conditional_one(length, prefix, smoothness):
    """Ten Euler steps lose an eighth of it, many steps nothing."""
    chunks = toy(length, prefix, smoothness)
    few, many = (chunks.sampler("regression", inference_steps=steps).spread() for steps in (10, 200))
    assert 0.8 < few < 1
    assert many == pytest.approx(1, abs=0.02)


@settings(max_examples=15)
@given(st.floats(3, 8), prefixes, smoothnesses, st.integers(0, 9), st.sampled_from([0.0, 0.1]))
def test_seams_are_nearly_as_smooth_as_the_data(length, prefix, smoothness, seed, error):
    chunks = toy(length, prefix, smoothness)
    seams = {m: chunks.sampler(m, error, seed=seed).seam() for m in ("regression", "constant", "overwrite", "none")}
    assert seams["regression"] <= 1.4, seams
    assert seams["regression"] < seams["constant"] < seams["overwrite"] < seams["none"], seams


@settings(max_examples=15)
@given(lengths, prefixes, smoothnesses, st.integers(0, 9))
def test_with_uncertain_given_actions_the_seam_is_still_smoother_than_with_a_constant_gain(
    length, prefix, smoothness, seed
):
    """What policies use: it lets the chunk keep more of its own prediction, and pays with some smoothness."""
    chunks = toy(length, prefix, smoothness)
    seams = [chunks.sampler(method, 0.1, seed=seed).seam() for method in ("regression", "uncertain", "constant")]
    assert seams == sorted(seams)
    if length <= 6:
        assert seams[1] <= 1.4
