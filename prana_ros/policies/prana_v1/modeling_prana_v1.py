"""PRANA v1 as a LeRobot policy: the L1 regression of an action chunk."""

from typing import Any

import torch
from lerobot.utils.constants import ACTION
from torch import Tensor, nn

from prana_ros.policies.chunk_policy import ChunkPolicy
from prana_ros.policies.losses import masked_mean
from prana_ros.policies.observation_network import ObservationNetwork
from prana_ros.policies.prana_v1.configuration_prana_v1 import PranaV1Config
from prana_ros.policies.prana_v1.language import LanguageTokens, vocabulary_size
from prana_ros.policies.precision import full_precision
from prana_ros.policies.transformer import ContextEncoder


class RegressionNetwork(ObservationNetwork):
    """Observation tokens, the task's if it is read, and one learned query for each step, all in one encoder."""

    def __init__(self, config: PranaV1Config, *, pretrained_backbone: bool):
        super().__init__(config, pretrained_backbone=pretrained_backbone)
        self.language = None
        if config.language_tokenizer:
            self.language = LanguageTokens(config.language_vocabulary, config.language_max_length, config.dim)
        # A query is told from the others by its own vector: that is also its position.
        self.action_queries = nn.Parameter(torch.randn(config.chunk_size, config.dim) * 0.02)
        self.encoder = ContextEncoder(config.dim, config.num_heads, config.num_encoder_layers)
        self.action_out = nn.Linear(config.dim, config.action_dim)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Normalized action chunks (B, H, A)."""
        tokens = self.observation_tokens(batch)
        mask = None
        if self.language is not None:
            words, is_word = self.language(batch)
            seen = is_word.new_ones(tokens.shape[:2])
            queries_seen = is_word.new_ones(len(tokens), len(self.action_queries))
            mask = torch.cat([seen, is_word, queries_seen], dim=1)[:, None, None]
            tokens = torch.cat([tokens, words], dim=1)
        queries = self.action_queries.expand(len(tokens), -1, -1)
        encoded = self.encoder(torch.cat([tokens, queries], dim=1), mask)
        with full_precision(encoded):
            return self.action_out(encoded[:, -len(self.action_queries) :])


class PranaV1Policy(ChunkPolicy):
    """The chunk that is nearest to the demonstrations' in the mean: where they differ, it lies between them."""

    config_class = PranaV1Config
    name = "prana_v1"
    network: RegressionNetwork

    def __init__(self, config: PranaV1Config, **kwargs: Any):
        super().__init__(config, **kwargs)

    def _build(self, *, pretrained_backbone: bool) -> None:
        config = self.config
        if config.language_tokenizer and not config.language_vocabulary:
            config.language_vocabulary = vocabulary_size(config.language_tokenizer)
        self.network = RegressionNetwork(config, pretrained_backbone=pretrained_backbone)

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Mean absolute error over the steps that are not padding."""
        error = (self.network(batch) - batch[ACTION]).abs()
        loss = masked_mean(error, batch.get(f"{ACTION}_is_pad"))
        return loss, {"l1_loss": loss.item()}

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Tensor], **kwargs: Any) -> Tensor:
        """Predict a normalized action chunk (B, H, A) from preprocessed observations.

        Args:
            batch: preprocessed observations.
            kwargs: what LeRobot hands to policies that draw noise or continue the running chunk; unused.

        Raises:
            ValueError: for a missing input.
        """
        self.eval()
        self._check_observations(batch)
        return self.network(batch)
