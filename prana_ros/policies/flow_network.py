"""The network of the flow-matching policies: observations to a context, noisy chunks to velocities.

Shapes: B batch, F chunks per context, H chunk length, A action entries, N context tokens, D width.
"""

from dataclasses import dataclass

from torch import Tensor

from prana_ros.policies.flow_config import FlowPolicyConfig
from prana_ros.policies.observation_network import ObservationNetwork
from prana_ros.policies.transformer import ActionDecoder, ContextEncoder, KeyValue


@dataclass(frozen=True)
class Context:
    """What one inference computes once: each decoder layer's cross-attention keys and values for B observations."""

    key_values: list[KeyValue]

    @property
    def batch_size(self) -> int:
        return self.key_values[0][0].shape[0]


class FlowNetwork(ObservationNetwork):
    """Observation tokens through the context encoder; action tokens through the decoder."""

    def __init__(self, config: FlowPolicyConfig, *, pretrained_backbone: bool):
        super().__init__(config, pretrained_backbone=pretrained_backbone)
        self.encoder = ContextEncoder(config.dim, config.num_heads, config.num_context_layers)
        self.decoder = ActionDecoder(
            config.action_dim, config.chunk_size, config.dim, config.num_heads, config.num_decoder_layers
        )

    def context_tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """Encoded observation tokens (B, N, D)."""
        return self.encoder(self.observation_tokens(batch))

    def encode(self, batch: dict[str, Tensor]) -> Context:
        """Everything about the observations that the velocity needs, at any flow time."""
        return Context(self.decoder.key_values(self.context_tokens(batch)))

    def velocity(self, context: Context, x: Tensor, t: Tensor, is_pad: Tensor | None = None) -> Tensor:
        """Velocities of noisy chunks (B·F, H, A) at times (B·F,); chunks of one context are adjacent."""
        return self.decoder(x, t, context.key_values, is_pad)
