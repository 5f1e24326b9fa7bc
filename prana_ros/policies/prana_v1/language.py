"""The task in words: a Hugging Face tokenizer's tokens, and a learned table of them."""

import torch
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS
from torch import Tensor, nn


def vocabulary_size(tokenizer_name: str) -> int:
    """How many different tokens a tokenizer gives.

    Raises:
        ImportError: if the transformers library is not installed.
        ValueError: if the tokenizer cannot be had, or cannot pad.
    """
    try:
        from transformers import AutoTokenizer  # an extra of LeRobot's that a policy without language need not have
    except ImportError as error:
        raise ImportError(
            f"language_tokenizer {tokenizer_name!r} needs the transformers library, which is not installed; "
            "allowed: pip install 'lerobot[transformers-dep]', or an empty language_tokenizer"
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"language_tokenizer {tokenizer_name!r} cannot be had ({reason}); "
            "allowed: a folder with a tokenizer, or the name of one on the Hugging Face hub"
        ) from error
    if tokenizer.pad_token_id is None:
        raise ValueError(f"language_tokenizer {tokenizer_name!r} has no padding token; allowed: one that has")
    return len(tokenizer)


class LanguageTokens(nn.Module):
    """Token numbers (B, L) to tokens (B, L, D) with learned positions."""

    def __init__(self, vocabulary: int, max_length: int, dim: int):
        super().__init__()
        self.table = nn.Embedding(vocabulary, dim)
        nn.init.normal_(self.table.weight, std=0.02)
        self.position_embedding = nn.Parameter(torch.randn(max_length, dim) * 0.02)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens (B, L, D), and which of them are words (B, L)."""
        numbers, is_word = batch[OBS_LANGUAGE_TOKENS], batch[OBS_LANGUAGE_ATTENTION_MASK].bool()
        return self.table(numbers) + self.position_embedding[: numbers.shape[1]], is_word
