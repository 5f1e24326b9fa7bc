"""What LeRobot expects of a policy, and what all versions promise, for each of them."""

import inspect
import typing

import numpy as np
import pytest
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_policy, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from support.policies import (
    FLOW_KINDS,
    KINDS,
    NAMES,
    TABLE,
    WRIST,
    make_fresh,
    observations,
    random_batch,
    save_with_processors,
    swinging_dataset,
    tiny_config,
    tiny_policy,
    train_steps,
)

from prana_ros.policies.chunk_policy import TRAINING_WEIGHTS_FILE

every_kind = pytest.mark.parametrize("kind", KINDS)
flow_kinds = pytest.mark.parametrize("kind", FLOW_KINDS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return swinging_dataset(tmp_path_factory.mktemp("data") / "swinging")


def chunk(policy, batch, **arguments) -> torch.Tensor:
    """A prediction whose noise, if it draws any, is the same in every call."""
    torch.manual_seed(5)
    return policy.predict_action_chunk(batch, **arguments)


# Names and defaults


@every_kind
def test_the_class_is_found_by_the_name_of_its_configuration(kind):
    config_class = PreTrainedConfig.get_choice_class(kind)
    policy_class = get_policy_class(kind)
    assert issubclass(policy_class, PreTrainedPolicy)
    assert (policy_class.name, policy_class.config_class) == (kind, config_class)
    assert typing.get_type_hints(policy_class.__init__)["config"] is config_class


@pytest.mark.parametrize(
    ("kind", "trained", "whole"),
    [("prana_v1", (8.7e6, 8.8e6), 8.75e6), ("prana_v2", (11.7e6, 11.9e6), 17.3e6), ("prana_v3", (25e6, 33e6), 48.1e6)],
)
def test_the_defaults_are_the_full_size_policy(kind, trained, whole):
    small = tiny_config(kind)
    config = PreTrainedConfig.get_choice_class(kind)(
        device="cpu",
        pretrained_backbone=False,
        input_features=small.input_features,
        output_features=small.output_features,
    )
    config.validate_features()
    assert (config.type, config.chunk_size, config.n_action_steps) == (kind, 50, 40)
    assert config.action_delta_indices == list(range(50))
    assert (config.observation_delta_indices, config.reward_delta_indices) == (None, None)
    parameters = list(get_policy_class(kind)(config).parameters())
    assert trained[0] < sum(p.numel() for p in parameters if p.requires_grad) < trained[1]
    assert sum(p.numel() for p in parameters) == pytest.approx(whole, rel=0.01)
    optimizer = config.get_optimizer_preset().build(parameters)
    assert config.get_scheduler_preset().build(optimizer, 1000).get_last_lr() == [0.0]  # it warms up


@every_kind
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n_action_steps": 9}, "n_action_steps"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"dim": 15}, "dim"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"resize_mode": "crop"}, "resize_mode"),
        ({"units": "radians"}, "units"),
        ({"n_obs_steps": 2}, "n_obs_steps"),
        ({"random_crop": {WRIST: 2.0}}, "random_crop"),
        ({"color_jitter": {TABLE: 0.1}}, "color_jitter"),
    ],
)
def test_a_bad_option_is_refused_by_name(kind, changes, name):
    with pytest.raises(ValueError, match=name):
        tiny_config(kind, **changes)


@every_kind
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("camera_order", ["observation.images.front"]),
        ("random_shift_pixels", {"observation.images.front": 1}),
        ("random_crop", {"observation.images.front": 0.9}),
        ("color_jitter", {"observation.images.front_wrist": 0.1}),
    ],
)
def test_an_option_for_a_camera_that_is_not_there_is_refused(kind, option, value):
    with pytest.raises(ValueError, match=rf"{option}.*front.*{TABLE}"):
        tiny_policy(kind, **{option: value})


# Prediction


@every_kind
def test_a_batch_is_as_many_predictions_as_it_has_observations(kind):
    policy, batch = tiny_policy(kind), observations(3)
    noise = torch.randn(3, 8, 6)
    together = policy.predict_action_chunk(batch, noise=noise)
    assert together.shape == (3, 8, 6)
    for i in range(3):
        alone = policy.predict_action_chunk({k: v[i : i + 1] for k, v in batch.items()}, noise=noise[i : i + 1])
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


@every_kind
@pytest.mark.parametrize("key", ["observation.state", TABLE, WRIST])
def test_every_input_matters(kind, key):
    policy, batch = tiny_policy(kind), observations()
    changed = chunk(policy, {**batch, key: batch[key].flip(0)})
    assert not torch.allclose(changed, chunk(policy, batch), atol=1e-5)


@every_kind
def test_select_action_executes_n_action_steps_of_a_chunk_and_reset_forgets_them(kind):
    policy, first, second = tiny_policy(kind), observations(seed=1), observations(seed=2)
    noise = torch.randn(2, 8, 6)
    before = policy.predict_action_chunk(first, noise=noise)
    after = policy.predict_action_chunk(second, noise=noise)
    torch.testing.assert_close(policy.select_action(first, noise=noise), before[:, 0])
    for i in range(1, 5):
        torch.testing.assert_close(policy.select_action(second, noise=noise), before[:, i])
    torch.testing.assert_close(policy.select_action(second, noise=noise), after[:, 0])
    policy.reset()
    torch.testing.assert_close(policy.select_action(first, noise=noise), before[:, 0])


@every_kind
@pytest.mark.parametrize("method", ["predict_action_chunk", "forward"])
@pytest.mark.parametrize(("missing", "present"), [(WRIST, TABLE), ("observation.state", WRIST)])
def test_a_missing_input_is_refused_by_name(kind, method, missing, present):
    batch = random_batch(2)
    del batch[missing]
    with pytest.raises(ValueError, match=rf"{kind}: the input {missing} is missing; present: .*{present}"):
        getattr(tiny_policy(kind), method)(batch)


@pytest.mark.parametrize(("kind", "freeze"), [("prana_v1", False), ("prana_v2", True), ("prana_v3", False)])
@pytest.mark.parametrize(
    ("backbone", "size", "class_token", "tokens"),
    [
        ("vit_tiny_patch16_224", 32, True, 5),
        ("vit_small_patch14_dinov2", 28, False, 4),
        ("vit_small_patch16_224", 32, True, 5),
        ("convnext_tiny", 64, True, 4),
        ("small_cnn", 32, True, 5),
    ],
)
def test_every_backbone_works_in_every_version(kind, backbone, size, class_token, tokens, freeze):
    options = {"backbone": backbone, "image_size": size, "use_class_token": class_token, "pretrained_backbone": False}
    policy = tiny_policy(kind, freeze_backbone=freeze, **options)
    assert policy.network.vision.num_tokens == 2 * tokens
    loss, _ = policy.train()(random_batch(2))
    loss.backward()
    learns = [p.grad is not None and bool(p.grad.any()) for p in policy.network.vision.backbones.parameters()]
    assert not any(learns) if freeze else sum(learns) > 0.9 * len(learns)
    assert torch.isfinite(policy.predict_action_chunk(observations())).all()


# Continuing a running chunk, as LeRobot's real-time chunking asks for it


@flow_kinds
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
def test_real_time_chunking_arguments_say_how_many_steps_are_held(kind, arguments, held):
    policy = tiny_policy(kind)
    noise, left_over = torch.randn(2, 8, 6), torch.randn(2, 4, 6)
    continued = policy.predict_action_chunk(observations(), noise=noise, prev_chunk_left_over=left_over, **arguments)
    torch.testing.assert_close(continued[:, :held], left_over[:, :held])
    free = policy.predict_action_chunk(observations(), noise=noise)
    if held < 4:
        assert not torch.allclose(continued[:, held], left_over[:, held], atol=1e-3)
    if held == 0:
        torch.testing.assert_close(continued, free)
    one = policy.predict_action_chunk(
        {k: v[:1] for k, v in observations().items()}, noise=noise[:1], prev_chunk_left_over=left_over[0], **arguments
    )
    torch.testing.assert_close(one[0], continued[0], atol=1e-5, rtol=1e-5)


@flow_kinds
def test_a_whole_chunk_can_be_given(kind):
    left_over = torch.randn(8, 6)
    continued = tiny_policy(kind).predict_action_chunk(observations(1), prev_chunk_left_over=left_over)
    torch.testing.assert_close(continued[0], left_over)


@flow_kinds
@pytest.mark.parametrize(
    ("left_over", "sentence"),
    [
        (torch.zeros(3, 5), "prev_chunk_left_over has shape"),
        (torch.zeros(3, 3, 6), "prev_chunk_left_over has shape"),
        (torch.full((3, 6), float("nan")), "not finite"),
    ],
)
def test_a_malformed_left_over_is_refused(kind, left_over, sentence):
    with pytest.raises(ValueError, match=sentence):
        tiny_policy(kind).predict_action_chunk(observations(), prev_chunk_left_over=left_over)


def test_v1_cannot_continue_a_chunk_and_says_so_in_its_signature():
    policy = tiny_policy("prana_v1")
    assert "prev_chunk_left_over" not in inspect.signature(policy.predict_action_chunk).parameters
    arguments = {"inference_delay": 2, "prev_chunk_left_over": torch.randn(4, 6), "execution_horizon": 8}
    assert torch.equal(chunk(policy, observations(), **arguments), chunk(policy, observations()))


# Training


@every_kind
def test_what_lies_beyond_an_episode_never_changes_loss_or_gradient(kind):
    policy = tiny_policy(kind).train()
    batch = random_batch(3)
    batch["action_is_pad"][0, 5:] = True
    batch["action_is_pad"][2, 1:] = True
    garbage = {**batch, "action": torch.where(batch["action_is_pad"][..., None], 1e3, batch["action"])}
    wrong = {**batch, "action": torch.where(batch["action_is_pad"][..., None], batch["action"], 1e3)}
    results = []
    for data in (batch, garbage, wrong):
        torch.manual_seed(1)
        loss, _ = policy(data)
        gradient = torch.autograd.grad(loss, [p for p in policy.parameters() if p.requires_grad])
        results.append((loss, gradient))
    torch.testing.assert_close(results[0], results[1])
    assert results[2][0] > 10 * results[0][0]


@every_kind
def test_training_lowers_the_loss(kind):
    policy = tiny_policy(kind)
    batch = random_batch(2, seed=0)
    torch.manual_seed(1)
    before = policy(batch)[1]
    train_steps(policy, 15)
    torch.manual_seed(1)
    after = policy.eval()(batch)[1]
    assert all(after[name] < before[name] for name in before)


@every_kind
def test_a_frozen_backbone_keeps_weights_statistics_and_mode(kind):
    policy = tiny_policy(kind, backbone="resnet10t", freeze_backbone=True, pretrained_backbone=False)
    before = {k: v.clone() for k, v in policy.network.vision.backbones.state_dict().items()}
    state_in = policy.network.state_in.weight.clone()
    train_steps(policy, 3)
    assert not any(module.training for module in policy.network.vision.backbones.modules())
    for name, tensor in policy.network.vision.backbones.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert any("running_mean" in name for name in before)
    assert not torch.equal(policy.network.state_in.weight, state_in)


@every_kind
def test_a_trained_backbone_learns_its_weights_and_statistics_at_its_own_rate(kind):
    changes = {"backbone": "resnet10t", "pretrained_backbone": False, "optimizer_lr": 1e-3}
    policy = tiny_policy(kind, optimizer_backbone_lr_factor=0.1, **changes)
    rest, backbone = policy.get_optim_params()
    assert "lr" not in rest
    assert backbone["lr"] == pytest.approx(1e-4)
    assert {id(p) for p in backbone["params"]} == {id(p) for p in policy.network.vision.backbones.parameters()}
    assert sum(p.numel() for g in (rest, backbone) for p in g["params"]) == sum(p.numel() for p in policy.parameters())
    before = {k: v.clone() for k, v in policy.network.vision.backbones.state_dict().items()}
    train_steps(policy, 2)
    after = policy.network.vision.backbones.state_dict()
    assert not any(torch.equal(after[name], before[name]) for name in before if name.endswith(("conv1.weight", "mean")))


@every_kind
def test_only_training_changes_images(kind):
    policy, batch = tiny_policy(kind, random_crop={TABLE: 0.5}), observations()

    def tokens() -> torch.Tensor:
        with torch.no_grad():
            return policy.network.vision(batch)

    assert torch.equal(tokens(), tokens())
    policy.train()
    assert not torch.equal(tokens(), tokens())
    assert torch.equal(chunk(policy, batch), chunk(policy, batch))


@every_kind
def test_the_checkpoint_deploys_the_average_and_training_resumes_from_the_raw_weights(kind, tmp_path):
    policy = tiny_policy(kind, ema_decay=0.9)
    policy_class = type(policy)
    train_steps(policy, 6)
    raw = {k: v.detach().clone() for k, v in policy.named_parameters()}
    policy.save_pretrained(tmp_path)

    loaded = policy_class.from_pretrained(tmp_path)
    name = "network.state_in.weight"
    assert not torch.allclose(loaded.state_dict()[name], raw[name])
    deployed = loaded.state_dict()[name].clone()
    loaded.train()
    loaded(random_batch(2))
    torch.testing.assert_close(dict(loaded.named_parameters()), raw)
    loaded.save_pretrained(tmp_path / "again")
    again = policy_class.from_pretrained(tmp_path / "again")
    torch.testing.assert_close(again.state_dict()[name], deployed)

    (tmp_path / TRAINING_WEIGHTS_FILE).unlink()
    released = policy_class.from_pretrained(tmp_path).train()
    released(random_batch(2))
    torch.testing.assert_close(released.state_dict()[name], deployed)


# Checkpoints


@every_kind
@pytest.mark.parametrize("strict", [False, True])
def test_save_and_load_give_the_same_chunks(kind, tmp_path, strict):
    policy = tiny_policy(kind)
    policy.save_pretrained(tmp_path)
    loaded = type(policy).from_pretrained(tmp_path, strict=strict)
    torch.testing.assert_close(chunk(loaded, observations()), chunk(policy, observations()))
    assert loaded.config == policy.config
    assert not loaded.training


@every_kind
def test_a_checkpoint_that_lacks_a_tensor_is_refused_when_strict(kind, tmp_path):
    tiny_policy(kind).save_pretrained(tmp_path)
    config = PreTrainedConfig.from_pretrained(tmp_path)
    config.backbone_per_camera = True
    with pytest.raises(RuntimeError, match=r"backbones\.1"):
        get_policy_class(kind).from_pretrained(tmp_path, config=config, strict=True)


@every_kind
def test_loading_a_checkpoint_with_a_timm_backbone_asks_for_no_pretrained_weights(kind, tmp_path, monkeypatch):
    import timm

    policy = tiny_policy(kind, backbone="resnet10t", pretrained_backbone=False)
    policy.save_pretrained(tmp_path)
    config = PreTrainedConfig.from_pretrained(tmp_path)
    config.pretrained_backbone = True
    create, asked = timm.create_model, []
    monkeypatch.setattr("timm.create_model", lambda *a, **k: asked.append(k["pretrained"]) or create(*a, **k))
    loaded = type(policy).from_pretrained(tmp_path, config=config)
    assert asked
    assert not any(asked)
    torch.testing.assert_close(chunk(loaded, observations()), chunk(policy, observations()))


@every_kind
def test_processors_are_found_by_name_and_undo_each_other(kind, dataset, tmp_path):
    policy = make_fresh(dataset, kind)
    save_with_processors(policy, dataset, tmp_path)
    fresh = make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats)
    loaded = make_pre_post_processors(policy.config, pretrained_path=str(tmp_path))
    action, state = torch.randn(1, 6), torch.randn(6)
    mean, std = (torch.as_tensor(dataset.meta.stats["observation.state"][k]).float() for k in ("mean", "std"))
    for preprocessor, postprocessor in (fresh, loaded):
        batch = preprocessor({"action": action, "observation.state": state, "task": "swing"})
        torch.testing.assert_close(batch["observation.state"], ((state - mean) / std)[None], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(postprocessor(batch["action"]), action, atol=1e-4, rtol=1e-5)


# The training dataset


@every_kind
def test_a_fresh_policy_takes_the_gates_facts_from_its_dataset(kind, dataset):
    config = make_fresh(dataset, kind).config
    assert (config.joint_names, config.fps, config.units) == (NAMES, 10, "degrees")
    states = np.stack(dataset.hf_dataset.with_format("numpy")["observation.state"][:])
    np.testing.assert_allclose(config.state_min, states.min(0), rtol=1e-5)
    np.testing.assert_allclose(config.state_max, states.max(0), rtol=1e-5)


@every_kind
def test_deployment_never_refits_and_finetuning_on_other_data_does(kind, dataset, tmp_path):
    policy = make_fresh(dataset, kind, allow_unfitted_noise=False) if kind in FLOW_KINDS else make_fresh(dataset, kind)
    save_with_processors(policy, dataset, tmp_path / "policy")
    other = swinging_dataset(tmp_path / "other", lengths=(30, 12), amplitude=7.0)
    fitted = {name: buffer.clone() for name, buffer in policy.named_buffers()}

    def fits(some) -> bool:
        return all(torch.equal(buffer, fitted[name]) for name, buffer in some.named_buffers() if "cholesky" in name)

    config = PreTrainedConfig.from_pretrained(tmp_path / "policy")
    config.pretrained_path = tmp_path / "policy"
    deployed = make_policy(config, ds_meta=other.meta)
    deployed.predict_action_chunk(observations())
    assert fits(deployed)
    assert deployed.config.state_max == policy.config.state_max

    same = make_policy(config, ds_meta=dataset.meta).train()
    same(random_batch(2))
    assert fits(same)
    assert same.config.state_max == pytest.approx(policy.config.state_max)

    deployed.train()
    deployed(random_batch(2))
    assert fits(deployed) == (kind not in FLOW_KINDS)
    assert max(deployed.config.state_max) < 8
