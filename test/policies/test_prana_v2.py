import itertools

import numpy as np
import pytest
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_policy, make_pre_post_processors
from support.policies import NAMES, TABLE, WRIST, random_batch, swinging_dataset, tiny_config, wake

from prana_ros.policies.chunk_policy import TRAINING_WEIGHTS_FILE
from prana_ros.policies.correlated_noise import UnfittedNoiseError
from prana_ros.policies.flow_matching import time_grid
from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config
from prana_ros.policies.prana_v2.modeling_prana_v2 import PranaV2Policy


def observations(size: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    return {k: v for k, v in random_batch(size, seed=seed).items() if k.startswith("observation")}


@pytest.fixture
def policy() -> PranaV2Policy:
    torch.manual_seed(0)
    policy = PranaV2Policy(tiny_config())
    wake(policy)
    return policy.eval()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return swinging_dataset(tmp_path_factory.mktemp("data") / "swinging")


def step(policy: PranaV2Policy, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor]) -> None:
    loss, _ = policy(batch)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    policy.update()


# What LeRobot expects of a policy


def test_lerobot_finds_policy_and_processors_by_name(dataset):
    assert PreTrainedConfig.get_choice_class("prana_v2") is PranaV2Config
    assert get_policy_class("prana_v2") is PranaV2Policy
    assert PranaV2Policy.__init__.__annotations__["config"] is PranaV2Config
    preprocessor, postprocessor = make_pre_post_processors(tiny_config(), dataset_stats=dataset.meta.stats)
    action = torch.randn(1, 6)
    item = {"action": action, "observation.state": torch.randn(1, 6), "task": "swing"}
    torch.testing.assert_close(postprocessor(preprocessor(item)["action"]), action, atol=1e-4, rtol=1e-5)


def test_the_full_size_policy_has_the_documented_size():
    features = tiny_config()
    config = PranaV2Config(
        device="cpu",
        pretrained_backbone=False,
        input_features=features.input_features,
        output_features=features.output_features,
    )
    trained = sum(p.numel() for p in PranaV2Policy(config).parameters() if p.requires_grad)
    assert 11.7e6 < trained < 11.9e6


@pytest.mark.parametrize("size", [1, 3])
def test_a_chunk_for_each_observation(policy, size):
    assert policy.predict_action_chunk(observations(size)).shape == (size, 8, 6)


def test_select_action_executes_n_action_steps_of_a_chunk_and_reset_forgets_them(policy):
    noise = torch.randn(2, 8, 6)
    chunk = policy.predict_action_chunk(observations(), noise=noise)
    for i in range(5):
        torch.testing.assert_close(policy.select_action(observations(), noise=noise), chunk[:, i])
    torch.testing.assert_close(policy.select_action(observations(), noise=noise), chunk[:, 0])
    policy.reset()
    torch.testing.assert_close(policy.select_action(observations(), noise=noise), chunk[:, 0])


def test_a_missing_camera_is_refused_by_name(policy):
    batch = observations()
    del batch[WRIST]
    with pytest.raises(ValueError, match=rf"{WRIST} is missing.*{TABLE}"):
        policy.predict_action_chunk(batch)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n_action_steps": 9}, "n_action_steps"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"dim": 15}, "dim"),
        ({"noise_beta": 1.5}, "noise_beta"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"resize_mode": "crop"}, "resize_mode"),
        ({"units": "radians"}, "units"),
        ({"time_grid_shift": 0.0}, "time_grid_shift"),
        ({"n_obs_steps": 2}, "n_obs_steps"),
    ],
)
def test_a_bad_option_is_refused_by_name(changes, name):
    with pytest.raises(ValueError, match=name):
        tiny_config(**changes)


@pytest.mark.parametrize("option", ["camera_order", "random_shift_pixels"])
def test_an_option_for_a_camera_that_is_not_there_is_refused(option):
    value = ["observation.images.front"] if option == "camera_order" else {"observation.images.front": 1}
    with pytest.raises(ValueError, match=rf"{option}.*front.*{TABLE}"):
        PranaV2Policy(tiny_config(**{option: value}))


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


@pytest.mark.parametrize(
    ("arguments", "held"),
    [
        ({}, 4),
        ({"inference_delay": 2}, 2),
        ({"inference_delay": 7}, 4),
        ({"execution_horizon": 3}, 3),
        ({"inference_delay": 3, "execution_horizon": 1}, 1),
        ({"inference_delay": 0}, 0),
    ],
)
def test_real_time_chunking_arguments_say_how_many_steps_are_held(policy, arguments, held):
    noise, left_over = torch.randn(2, 8, 6), torch.randn(2, 4, 6)
    chunk = policy.predict_action_chunk(observations(), noise=noise, prev_chunk_left_over=left_over, **arguments)
    torch.testing.assert_close(chunk[:, :held], left_over[:, :held])
    free = policy.predict_action_chunk(observations(), noise=noise)
    if held < 4:
        assert not torch.allclose(chunk[:, held], left_over[:, held], atol=1e-3)
    if held == 0:
        torch.testing.assert_close(chunk, free)
    one = policy.predict_action_chunk(
        {k: v[:1] for k, v in observations().items()}, noise=noise[:1], prev_chunk_left_over=left_over[0], **arguments
    )
    torch.testing.assert_close(one[0], chunk[0], atol=1e-5, rtol=1e-5)


def test_a_whole_chunk_can_be_given(policy):
    left_over = torch.randn(8, 6)
    chunk = policy.predict_action_chunk(observations(1), prev_chunk_left_over=left_over)
    torch.testing.assert_close(chunk[0], left_over)


@pytest.mark.parametrize(
    ("left_over", "sentence"),
    [
        (torch.zeros(3, 5), "prev_chunk_left_over has shape"),
        (torch.zeros(3, 3, 6), "prev_chunk_left_over has shape"),
        (torch.full((3, 6), float("nan")), "not finite"),
    ],
)
def test_a_malformed_left_over_is_refused(policy, left_over, sentence):
    with pytest.raises(ValueError, match=sentence):
        policy.predict_action_chunk(observations(), prev_chunk_left_over=left_over)


# Training


def test_what_lies_beyond_an_episode_never_changes_loss_or_gradient(policy):
    policy.train()
    batch = random_batch(3)
    batch["action_is_pad"][0, 5:] = True
    batch["action_is_pad"][2, 1:] = True
    garbage = {**batch, "action": torch.where(batch["action_is_pad"][..., None], 1e3, batch["action"])}
    results = []
    for data in (batch, garbage):
        torch.manual_seed(1)
        loss, _ = policy(data)
        gradient = torch.autograd.grad(loss, [p for p in policy.parameters() if p.requires_grad])
        results.append((loss, gradient))
    torch.testing.assert_close(results[0], results[1])


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


def test_a_frozen_backbone_keeps_weights_statistics_and_mode():
    torch.manual_seed(0)
    changes = {"backbone": "resnet10t", "freeze_backbone": True, "pretrained_backbone": False}
    policy = PranaV2Policy(tiny_config(**changes))
    before = {k: v.clone() for k, v in policy.network.vision.backbones.state_dict().items()}
    head = policy.network.state_in.weight.clone()
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-2)
    policy.train()
    for seed in range(3):
        step(policy, optimizer, random_batch(2, seed=seed))
    assert not any(module.training for module in policy.network.vision.backbones.modules())
    for name, tensor in policy.network.vision.backbones.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert any("running_mean" in name for name in before)
    assert not torch.equal(policy.network.state_in.weight, head)


def test_a_trained_backbone_learns_at_its_own_rate():
    policy = PranaV2Policy(tiny_config(optimizer_lr=1e-3, optimizer_backbone_lr_factor=0.1))
    rest, backbone = policy.get_optim_params()
    assert backbone["lr"] == pytest.approx(1e-4)
    assert sum(p.numel() for g in (rest, backbone) for p in g["params"]) == sum(p.numel() for p in policy.parameters())


def test_the_checkpoint_deploys_the_average_and_training_resumes_from_the_raw_weights(tmp_path):
    torch.manual_seed(0)
    policy = PranaV2Policy(tiny_config(ema_decay=0.9))
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-2)
    policy.train()
    for seed in range(6):
        step(policy, optimizer, random_batch(2, seed=seed))
    raw = {k: v.detach().clone() for k, v in policy.named_parameters()}
    policy.save_pretrained(tmp_path)

    loaded = PranaV2Policy.from_pretrained(tmp_path)
    name = "network.state_in.weight"
    assert not torch.allclose(loaded.state_dict()[name], raw[name])
    deployed = loaded.state_dict()[name].clone()
    loaded.train()
    loaded(random_batch(2))
    torch.testing.assert_close(dict(loaded.named_parameters()), raw)
    loaded.save_pretrained(tmp_path / "again")
    again = PranaV2Policy.from_pretrained(tmp_path / "again")
    torch.testing.assert_close(again.state_dict()[name], deployed)

    (tmp_path / TRAINING_WEIGHTS_FILE).unlink()
    released = PranaV2Policy.from_pretrained(tmp_path).train()
    released(random_batch(2))
    torch.testing.assert_close(released.state_dict()[name], deployed)


@pytest.mark.parametrize("strict", [False, True])
def test_save_and_load_give_the_same_chunks(policy, tmp_path, strict):
    policy.save_pretrained(tmp_path)
    loaded = PranaV2Policy.from_pretrained(tmp_path, strict=strict)
    noise = torch.randn(2, 8, 6)
    torch.testing.assert_close(
        loaded.predict_action_chunk(observations(), noise=noise),
        policy.predict_action_chunk(observations(), noise=noise),
    )
    assert loaded.config == policy.config


def test_loading_a_checkpoint_with_a_timm_backbone_asks_for_no_pretrained_weights(tmp_path, monkeypatch):
    import timm

    config = tiny_config(backbone="resnet10t", freeze_backbone=True, pretrained_backbone=False)
    PranaV2Policy(config).save_pretrained(tmp_path)
    config = PreTrainedConfig.from_pretrained(tmp_path)
    config.pretrained_backbone = True
    create, asked = timm.create_model, []
    monkeypatch.setattr("timm.create_model", lambda *a, **k: asked.append(k["pretrained"]) or create(*a, **k))
    PranaV2Policy.from_pretrained(tmp_path, config=config)
    assert asked
    assert not any(asked)


# Noise and the training dataset


def make_fresh(dataset, **changes) -> PranaV2Policy:
    config = tiny_config(allow_unfitted_noise=False, **changes)
    config.input_features, config.output_features = {}, {}
    return make_policy(config, ds_meta=dataset.meta)


def save_with_processors(policy, dataset, folder) -> None:
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats):
        processor.save_pretrained(folder)


def test_a_fresh_policy_takes_noise_and_facts_from_its_dataset(dataset):
    policy = make_fresh(dataset)
    assert policy.noise.is_fitted
    config = policy.config
    assert (config.joint_names, config.fps, config.units) == (NAMES, 10, "degrees")
    states = np.stack(dataset.hf_dataset.with_format("numpy")["observation.state"][:])
    np.testing.assert_allclose(config.state_min, states.min(0), rtol=1e-5)
    np.testing.assert_allclose(config.state_max, states.max(0), rtol=1e-5)
    actions = np.stack(dataset.hf_dataset.with_format("numpy")["action"][:])
    normalised = (actions - actions.mean(0)) / actions.std(0)
    chunks = [normalised[a : a + 8].ravel() for s, n in ((0, 30), (30, 25)) for a in range(s, s + n - 7)]
    deviation = policy.noise.covariance.diagonal().sqrt().numpy()
    np.testing.assert_allclose(deviation, np.std(chunks, axis=0), rtol=1e-3)


def test_prediction_with_unfitted_noise_is_refused_unless_allowed():
    policy = PranaV2Policy(tiny_config(allow_unfitted_noise=False))
    with pytest.raises(UnfittedNoiseError, match=r"noise_is_fitted is false.*fit_noise.*allow_unfitted_noise"):
        policy.predict_action_chunk(observations())
    policy.config.allow_unfitted_noise = True
    assert torch.isfinite(policy.predict_action_chunk(observations())).all()


def test_noise_fitted_under_other_statistics_is_refused(dataset, tmp_path, caplog):
    policy = make_fresh(dataset)
    save_with_processors(policy, dataset, tmp_path / "right")
    assert PranaV2Policy.from_pretrained(tmp_path / "right").noise_problem() is None

    wider = {k: {n: np.asarray(v) * 2 for n, v in s.items()} for k, s in dataset.meta.stats.items()}
    policy.save_pretrained(tmp_path / "wrong")
    for processor in make_pre_post_processors(policy.config, dataset_stats=wider):
        processor.save_pretrained(tmp_path / "wrong")
    wrong = PranaV2Policy.from_pretrained(tmp_path / "wrong")
    assert "other normalisation statistics" in caplog.text
    with pytest.raises(UnfittedNoiseError, match="other normalisation statistics"):
        wrong.predict_action_chunk(observations())


def test_deployment_never_refits_and_finetuning_on_other_data_does(dataset, tmp_path):
    policy = make_fresh(dataset)
    fitted = policy.noise.cholesky.clone()
    save_with_processors(policy, dataset, tmp_path / "policy")
    other = swinging_dataset(tmp_path / "other", lengths=(30, 12), amplitude=7.0)

    config = PreTrainedConfig.from_pretrained(tmp_path / "policy")
    config.pretrained_path = tmp_path / "policy"
    deployed = make_policy(config, ds_meta=other.meta)
    deployed.predict_action_chunk(observations())
    assert torch.equal(deployed.noise.cholesky, fitted)

    same = make_policy(config, ds_meta=dataset.meta).train()
    same(random_batch(2))
    assert torch.equal(same.noise.cholesky, fitted)

    deployed.train()
    deployed(random_batch(2))
    assert not torch.equal(deployed.noise.cholesky, fitted)
    assert max(deployed.config.state_max) < 8
