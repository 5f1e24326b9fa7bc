"""The transformer blocks of the policies: pre-norm, scaled dot-product attention, cross keys and values computed once.

Shapes: B batch, F chunks sharing one context, H chunk length, N context tokens, D width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prana_ros.policies.precision import full_precision

KeyValue = tuple[Tensor, Tensor]


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention (…, L, E) of queries to keys and values (…, S, E).

    bfloat16 on a CPU is attended in float32: there the backward pass in bfloat16 takes five times as long.
    """
    if query.device.type == "cpu" and query.dtype is torch.bfloat16:
        with full_precision(query):
            attended = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=mask)
        return attended.to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one fused projection. ``mask`` is true where a key may be seen."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = attend(query, key, value, mask)
        return self.out(attended.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Multi-head attention to a context whose keys and values are computed once, by :meth:`key_value`."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def key_value(self, context: Tensor) -> KeyValue:
        """Keys and values, each (B, heads, N, D / heads), of a context (B, N, D)."""
        key, value = self.kv(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return key.contiguous(), value.contiguous()

    def forward(self, x: Tensor, key_value: KeyValue) -> Tensor:
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        attended = attend(query, *key_value)
        return self.out(attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """Two linear layers, hidden width 4D, GELU between."""

    def __init__(self, dim: int):
        super().__init__(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


class DecoderLayer(nn.Module):
    """Pre-norm self-attention within a chunk, cross-attention to the context, feed-forward."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.cross_norm = nn.LayerNorm(dim)
        self.cross = CrossAttention(dim, heads)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim)

    def forward(self, x: Tensor, key_value: KeyValue, mask: Tensor | None = None) -> Tensor:
        """x (B·F, H, D) with F chunks per context: cross-attention sees them as one row of F·H queries."""
        contexts = key_value[0].shape[0]
        x = x + self.attention(self.attention_norm(x), mask)
        query = self.cross_norm(x).reshape(contexts, -1, x.shape[-1])
        x = x + self.cross(query, key_value).view_as(x)
        return x + self.feed_forward(self.feed_forward_norm(x))


class ContextEncoder(nn.Module):
    """Self-attention over all tokens, normalized at the end: (B, N, D) to (B, N, D).

    ``mask`` (B, 1, 1, N) is true for the tokens that may be seen; None: all.
    """

    def __init__(self, dim: int, heads: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            tokens = layer(tokens, mask)
        return self.norm(tokens)


class TimeEmbedding(nn.Module):
    """Flow time t in [0, 1] to (…, D): sines and cosines of periods 4e-3 to 4, then two linear layers."""

    def __init__(self, dim: int):
        super().__init__()
        periods = torch.logspace(math.log10(4e-3), math.log10(4.0), dim // 2)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: Tensor) -> Tensor:
        angle = t[..., None] * self.frequencies
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))


class ActionDecoder(nn.Module):
    """Velocity of noisy action chunks, given a context through cached keys and values."""

    def __init__(self, action_dim: int, chunk_size: int, dim: int, heads: int, layers: int):
        super().__init__()
        self.action_in = nn.Linear(action_dim, dim)
        self.position_embedding = nn.Parameter(torch.randn(chunk_size, dim) * 0.02)
        self.time_embedding = TimeEmbedding(dim)
        self.layers = nn.ModuleList(DecoderLayer(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.action_out = nn.Linear(dim, action_dim)
        nn.init.zeros_(self.action_out.weight)
        nn.init.zeros_(self.action_out.bias)

    def key_values(self, context: Tensor) -> list[KeyValue]:
        """Each layer's cross-attention keys and values of a context (B, N, D)."""
        return [layer.cross.key_value(context) for layer in self.layers]

    def forward(self, x: Tensor, t: Tensor, key_values: list[KeyValue], is_pad: Tensor | None = None) -> Tensor:
        """Velocity, shaped as x.

        Args:
            x: noisy chunks (B·F, H, A), the F chunks of one context adjacent.
            t: flow times (B·F,).
            key_values: what :meth:`key_values` returned for the B contexts.
            is_pad: (B·F, H), true where a step lies beyond its episode; such steps are seen by themselves only,
                so that nothing in them reaches the steps that count.
        """
        with full_precision(x):
            tokens = self.action_in(x) + self.position_embedding + self.time_embedding(t)[:, None]
        mask = None
        if is_pad is not None:
            own = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
            mask = (~is_pad[:, None, None, :]) | own
        for layer, key_value in zip(self.layers, key_values, strict=True):
            tokens = layer(tokens, key_value, mask)
        with full_precision(x):
            return self.action_out(self.norm(tokens))
