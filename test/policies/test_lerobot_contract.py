"""What LeRobot expects of a policy, and what all versions promise, for each of them."""

import inspect
import typing
from types import SimpleNamespace

import pytest
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class
from lerobot.policies.pretrained import PreTrainedPolicy
from support.policies import (
    FLOW_KINDS,
    KINDS,
    TABLE,
    WRIST,
    chunk,
    observations,
    random_batch,
    tiny_config,
    tiny_policy,
)

from prana_ros.policies.dataset_metadata import agreed_joint_names
from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config

every_kind = pytest.mark.parametrize("kind", KINDS)
flow_kinds = pytest.mark.parametrize("kind", FLOW_KINDS)


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


@every_kind
def test_a_camera_is_read_once_and_one_of_two_is_enough(kind):
    with pytest.raises(ValueError, match=rf"camera_order is {TABLE}, {TABLE}; allowed: each camera once"):
        tiny_policy(kind, camera_order=[TABLE, TABLE])
    batch = observations()
    del batch[TABLE]
    assert tiny_policy(kind, camera_order=[WRIST]).predict_action_chunk(batch).shape == (2, 8, 6)


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


def test_state_that_the_arm_does_not_give_is_left_out_of_the_inputs(caplog):
    extra = PolicyFeature(FeatureType.STATE, (6,))
    image = PolicyFeature(FeatureType.VISUAL, (3, 48, 64))
    config = PranaV2Config(
        input_features={"observation.state": extra, "observation.velocity": extra, "observation.images.table": image},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (6,))},
    )
    config.validate_features()
    assert list(config.input_features) == ["observation.state", "observation.images.table"]
    assert "does not use observation.velocity" in caplog.text


def test_joints_in_another_order_than_the_checkpoints_are_refused_by_any_trainer():
    chosen = ["shoulder_pan", "shoulder_lift"]

    def meta(*names):
        return SimpleNamespace(features={"action": {"names": [f"{name}.pos" for name in names]}})

    with pytest.raises(
        ValueError, match="is shoulder_pan, shoulder_lift, but the dataset's order is shoulder_lift, sh"
    ):
        agreed_joint_names(chosen, meta("shoulder_lift", "shoulder_pan"))
    assert agreed_joint_names(chosen, meta("shoulder_pan", "shoulder_lift")) == chosen
    assert agreed_joint_names(chosen, meta("Rotation", "Pitch")) == chosen
    assert agreed_joint_names([], meta("Rotation", "Pitch")) == ["Rotation", "Pitch"]
