"""Checkpoints of each version: saved, loaded, resumed from, finetuned."""

import numpy as np
import pytest
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_policy, make_pre_post_processors
from safetensors.torch import load_file, save_file
from support.policies import (
    FLOW_KINDS,
    KINDS,
    NAMES,
    chunk,
    make_fresh,
    observations,
    random_batch,
    save_with_processors,
    swinging_dataset,
    tiny_policy,
    train_steps,
)

from prana_ros.policies.chunk_policy import TRAINING_WEIGHTS_FILE, WEIGHTS_FILE

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return swinging_dataset(tmp_path_factory.mktemp("data") / "swinging")


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
def test_a_checkpoint_that_lacks_a_tensor_is_taken_with_a_warning_otherwise(kind, tmp_path, caplog):
    policy = tiny_policy(kind)
    policy.save_pretrained(tmp_path)
    lacking = load_file(tmp_path / WEIGHTS_FILE)
    del lacking["network.state_in.bias"]
    save_file(lacking, tmp_path / WEIGHTS_FILE, metadata={"format": "pt"})
    loaded = type(policy).from_pretrained(tmp_path, strict=False).state_dict()
    assert "network.state_in.bias" in caplog.text
    for name, value in lacking.items():
        assert torch.equal(loaded[name], value), name


@every_kind
def test_finetuning_may_set_the_backbone_free(kind, tmp_path):
    frozen = tiny_policy(kind, freeze_backbone=True, ema_decay=0.9)
    train_steps(frozen, 3)
    frozen.save_pretrained(tmp_path)
    config = PreTrainedConfig.from_pretrained(tmp_path)
    config.freeze_backbone = False
    free = type(frozen).from_pretrained(tmp_path, config=config)
    free.train()
    free(random_batch(2))
    torch.testing.assert_close(dict(free.named_parameters()), dict(frozen.named_parameters()))
    before = free.network.vision.backbones[0].stages[0].reduce.weight.clone()
    train_steps(free, 1)
    assert not torch.equal(free.network.vision.backbones[0].stages[0].reduce.weight, before)


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


# Averaged weights


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
