"""What training does to the weights of each version, and what it leaves alone."""

import pytest
import torch
from support.policies import (
    KINDS,
    TABLE,
    chunk,
    observations,
    random_batch,
    tiny_policy,
    train_steps,
)

every_kind = pytest.mark.parametrize("kind", KINDS)


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
def test_in_bfloat16_joint_positions_places_and_noise_stay_float32(kind):
    policy = tiny_policy(kind).train()
    batch = random_batch(4, seed=0)
    seen = {}

    def note(name: str):
        return lambda _, arguments, result: seen.update({name: (arguments[0].dtype, result.dtype)})

    for name, module in policy.network.named_modules():
        module.register_forward_hook(note(name)) if isinstance(module, torch.nn.Linear) else None
    losses, gradients = [], []
    for lower in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            loss, _ = policy(batch)
        losses.append(loss)
        gradients.append(torch.autograd.grad(loss, [p for p in policy.parameters() if p.requires_grad]))
    exact = {name for name, (before, after) in seen.items() if before == after == torch.float32}
    assert {name.split(".")[-1] for name in exact} >= {"state_in", "keypoint_token", "action_out"}
    assert any(after is torch.bfloat16 for _, after in seen.values())
    torch.testing.assert_close(losses[1], losses[0], rtol=2e-2, atol=0)
    assert all(gradient.isfinite().all() for gradient in gradients[1])
    flat = [torch.cat([g.flatten() for g in each]) for each in gradients]
    assert torch.cosine_similarity(flat[0], flat[1], dim=0) > 0.98


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
