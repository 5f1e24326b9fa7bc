"""Sampling, noise and training of the flow-matching policies, on v2."""

import itertools

import numpy as np
import pytest
import torch
from lerobot.policies.factory import make_pre_post_processors
from support.policies import (
    make_fresh,
    observations,
    random_batch,
    save_with_processors,
    swinging_dataset,
    tiny_config,
    tiny_policy,
)

from prana_ros.policies.correlated_noise import UnfittedNoiseError
from prana_ros.policies.flow_matching import time_grid
from prana_ros.policies.prana_v2.modeling_prana_v2 import PranaV2Policy


@pytest.fixture
def policy() -> PranaV2Policy:
    return tiny_policy()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return swinging_dataset(tmp_path_factory.mktemp("data") / "swinging")


# Sampling


def test_the_cached_context_equals_computing_everything_in_every_step(policy):
    noise = torch.randn(2, 8, 6)
    batch = observations()
    x = noise
    grid = time_grid(10).tolist()
    with torch.no_grad():
        for now, after in itertools.pairwise(grid):
            velocity = policy.network.velocity(policy.network.encode(batch), x, torch.full((2,), now))
            x = x - (now - after) * velocity
    torch.testing.assert_close(policy.predict_action_chunk(batch, noise=noise), x, atol=1e-5, rtol=1e-5)
    assert x.std() > 0.1


def test_the_number_of_steps_is_a_run_time_option(policy):
    noise = torch.randn(2, 8, 6)
    chunks = []
    for policy.config.num_inference_steps in (1, 2, 10):
        chunks.append(policy.predict_action_chunk(observations(), noise=noise))
    assert not torch.allclose(chunks[0], chunks[1])
    assert not torch.allclose(chunks[1], chunks[2])


def test_the_shift_of_the_time_grid_is_a_run_time_option(policy):
    noise = torch.randn(2, 8, 6)
    chunks = []
    for policy.config.time_grid_shift in (0.5, 1.0, 3.0):
        x, grid = noise, time_grid(10, policy.config.time_grid_shift).tolist()
        for now, after in itertools.pairwise(grid):
            with torch.no_grad():
                x = x - (now - after) * policy.network.velocity(
                    policy.encode_context(observations()), x, torch.full((2,), now)
                )
        chunks.append(policy.predict_action_chunk(observations(), noise=noise))
        torch.testing.assert_close(chunks[-1], x, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(chunks[0], chunks[1], atol=1e-4)
    assert not torch.allclose(chunks[1], chunks[2], atol=1e-4)


@pytest.mark.parametrize("prefix", [None, torch.randn(1, 3, 6)])
def test_the_scale_of_the_noise_is_a_run_time_option(policy, prefix):
    """Given or drawn, and also where the chunk is given its first steps, which still come back as they are."""
    noise = torch.randn(2, 8, 6)

    def predict(scale: float, noise: torch.Tensor | None) -> torch.Tensor:
        policy.config.noise_scale = scale
        torch.manual_seed(3)
        return policy.predict_action_chunk(observations(), noise=noise, prev_chunk_left_over=prefix)

    torch.testing.assert_close(predict(0.5, noise), predict(1.0, 0.5 * noise))
    torch.testing.assert_close(predict(0.0, noise), predict(0.0, -noise))
    torch.manual_seed(3)
    drawn = policy.noise.sample(2)
    torch.testing.assert_close(predict(0.5, None), predict(1.0, 0.5 * drawn))
    assert not torch.allclose(predict(0.5, noise), predict(1.0, noise), atol=1e-4)
    if prefix is not None:
        torch.testing.assert_close(predict(0.5, noise)[:, :3], prefix.expand(2, -1, -1))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"noise_beta": 1.5}, "noise_beta"),
        ({"noise_scale": -0.1}, "noise_scale"),
        ({"noise_scale": 1.1}, "noise_scale"),
        ({"time_grid_shift": 0.0}, "time_grid_shift"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"flow_samples_per_context": 0}, "flow_samples_per_context"),
    ],
)
def test_a_bad_option_is_refused_by_name(changes, name):
    with pytest.raises(ValueError, match=name):
        tiny_config(**changes)


# Training


def test_several_flow_samples_share_one_pass_of_the_context(policy, monkeypatch):
    encode, passes = policy.network.encode, []
    monkeypatch.setattr(policy.network, "encode", lambda batch: passes.append(batch) or encode(batch))
    policy.config.flow_samples_per_context = 50
    torch.manual_seed(1)
    many = policy(random_batch(2))[0].item()
    assert len(passes) == 1
    policy.config.flow_samples_per_context = 1
    repeated = {key: value.repeat_interleave(50, dim=0) for key, value in random_batch(2).items()}
    torch.manual_seed(1)
    assert policy(repeated)[0].item() == pytest.approx(many, rel=1e-4)


def test_training_learns_the_covariance_that_the_observation_leaves_open():
    """A fresh network predicts v = 0, so a − (x_t − t·v) is a − x_t = −t·(ε − a): near t = 1, Σ_reg + E[a·aᵀ]."""
    torch.manual_seed(0)
    policy = PranaV2Policy(tiny_config(flow_samples_per_context=400)).train()
    batch = random_batch(2)
    batch["action"] = torch.full_like(batch["action"], 2.0)
    for _ in range(30):
        policy(batch)
    square = torch.tensor([0.95]) ** 2  # t runs from 0.9 to 1
    expected = square * (torch.eye(48) + 4.0)
    torch.testing.assert_close(policy.noise.covariance, expected, atol=0.35, rtol=0.1)


def test_what_lies_beyond_an_episode_teaches_no_covariance():
    policy = PranaV2Policy(tiny_config()).train()
    before = policy.noise.covariance.clone()
    batch = random_batch(3)
    batch["action_is_pad"][:, 7] = True
    policy(batch)
    assert torch.equal(policy.noise.covariance, before)


# Noise and the training dataset


def test_a_fresh_policy_fits_its_noise_to_its_dataset(dataset):
    policy = make_fresh(dataset, allow_unfitted_noise=False)
    assert policy.noise.is_fitted
    actions = np.stack(dataset.hf_dataset.with_format("numpy")["action"][:])
    normalized = (actions - actions.mean(0)) / actions.std(0)
    chunks = [normalized[a : a + 8].ravel() for s, n in ((0, 30), (30, 25)) for a in range(s, s + n - 7)]
    deviation = policy.noise.covariance.diagonal().sqrt().numpy()
    np.testing.assert_allclose(deviation, np.std(chunks, axis=0), rtol=1e-3)


def test_prediction_with_unfitted_noise_is_refused_unless_allowed():
    policy = PranaV2Policy(tiny_config(allow_unfitted_noise=False))
    with pytest.raises(UnfittedNoiseError, match=r"noise_is_fitted is false.*fit_noise.*allow_unfitted_noise"):
        policy.predict_action_chunk(observations())
    policy.config.allow_unfitted_noise = True
    assert torch.isfinite(policy.predict_action_chunk(observations())).all()


def test_noise_fitted_under_other_statistics_is_refused(dataset, tmp_path, caplog):
    policy = make_fresh(dataset, allow_unfitted_noise=False)
    save_with_processors(policy, dataset, tmp_path / "right")
    assert PranaV2Policy.from_pretrained(tmp_path / "right").noise_problem() is None

    wider = {k: {n: np.asarray(v) * 2 for n, v in s.items()} for k, s in dataset.meta.stats.items()}
    policy.save_pretrained(tmp_path / "wrong")
    for processor in make_pre_post_processors(policy.config, dataset_stats=wider):
        processor.save_pretrained(tmp_path / "wrong")
    wrong = PranaV2Policy.from_pretrained(tmp_path / "wrong")
    assert "other normalization statistics" in caplog.text
    with pytest.raises(UnfittedNoiseError, match="other normalization statistics"):
        wrong.predict_action_chunk(observations())
