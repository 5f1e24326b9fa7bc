import pytest
import torch
from torch import nn

from prana_ros.policies.transformer import ActionDecoder, CrossAttention, SelfAttention, TimeEmbedding, attend

DIM, HEADS = 16, 2


def reference_attention(query_weight, kv_weight, out) -> nn.MultiheadAttention:
    """PyTorch's own attention with given (weight, bias) pairs."""
    reference = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([query_weight[0], kv_weight[0]]))
        reference.in_proj_bias.copy_(torch.cat([query_weight[1], kv_weight[1]]))
        reference.out_proj.load_state_dict(out.state_dict())
    return reference


def test_self_attention_is_pytorchs_multihead_attention():
    layer = SelfAttention(DIM, HEADS)
    weight, bias = layer.qkv.weight.split(DIM), layer.qkv.bias.split(DIM)
    kv = torch.cat(weight[1:]), torch.cat(bias[1:])
    x = torch.randn(3, 5, DIM)
    expected, _ = reference_attention((weight[0], bias[0]), kv, layer.out)(x, x, x)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cast", [True, False], ids=["autocast", "lower weights"])
def test_attention_in_bfloat16_is_that_in_float64_of_the_same_numbers(cast):
    query, key, value = (torch.randn(2, HEADS, 5, 8).bfloat16() for _ in range(3))
    scores = query.double() @ key.double().transpose(-1, -2) / 8**0.5
    with torch.autocast("cpu", torch.bfloat16, enabled=cast):
        attended = attend(query, key, value)
    assert attended.dtype is torch.bfloat16
    torch.testing.assert_close(attended.double(), scores.softmax(-1) @ value.double(), atol=0, rtol=2**-8)


def test_cross_attention_through_cached_keys_is_pytorchs_multihead_attention():
    layer = CrossAttention(DIM, HEADS)
    reference = reference_attention((layer.query.weight, layer.query.bias), (layer.kv.weight, layer.kv.bias), layer.out)
    x, context = torch.randn(3, 5, DIM), torch.randn(3, 7, DIM)
    expected, _ = reference(x, context, context)
    torch.testing.assert_close(layer(x, layer.key_value(context)), expected, atol=1e-5, rtol=1e-5)


@pytest.fixture
def decoder() -> ActionDecoder:
    torch.manual_seed(0)
    decoder = ActionDecoder(action_dim=3, chunk_size=6, dim=DIM, heads=HEADS, layers=2)
    nn.init.normal_(decoder.action_out.weight)
    return decoder.eval()


def test_chunks_that_share_a_context_equal_chunks_one_by_one(decoder):
    context = torch.randn(2, 7, DIM)
    x, t = torch.randn(2 * 4, 6, 3), torch.rand(2 * 4)
    together = decoder(x, t, decoder.key_values(context))
    for i in range(8):
        alone = decoder(x[i : i + 1], t[i : i + 1], decoder.key_values(context[i // 4 : i // 4 + 1]))
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-5)


def test_a_padded_step_reaches_no_other_step(decoder):
    key_values = decoder.key_values(torch.randn(2, 7, DIM))
    x, t = torch.randn(2, 6, 3), torch.rand(2)
    is_pad = torch.tensor([[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]], dtype=torch.bool)
    changed = x.clone()
    changed[0, 4:] = 1e3
    before, after = decoder(x, t, key_values, is_pad), decoder(changed, t, key_values, is_pad)
    torch.testing.assert_close(after[0, :4], before[0, :4])
    torch.testing.assert_close(after[1], before[1])


def test_times_one_step_apart_are_told_apart():
    embedding = TimeEmbedding(DIM)
    near, far = embedding(torch.tensor([0.5, 0.501])), embedding(torch.tensor([0.0, 1.0]))
    assert (near[0] - near[1]).abs().max() > 1e-4
    assert (far[0] - far[1]).abs().max() > 1e-2
