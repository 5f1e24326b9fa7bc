"""Configuration of PRANA v1; the defaults are the full-size policy (8.8 M trainable parameters)."""

from dataclasses import dataclass

from lerobot.configs.policies import PreTrainedConfig
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS

from prana_ros.policies.chunk_config import ChunkPolicyConfig


@PreTrainedConfig.register_subclass("prana_v1")
@dataclass
class PranaV1Config(ChunkPolicyConfig):
    """ViT-Tiny at 224, trained; D = 256, 4 self-attention layers, chunks of 50.

    Attributes, beside those of :class:`ChunkPolicyConfig`:
        num_encoder_layers: self-attention layers over observation and query tokens.
        language_tokenizer: a Hugging Face tokenizer, by name or folder, that reads the task; empty: no language.
        language_max_length: tokens of a task; longer ones are cut.
        language_vocabulary: rows of the language table, counted from the tokenizer by a fresh policy.
    """

    freeze_backbone: bool = False
    num_encoder_layers: int = 4
    language_tokenizer: str = ""
    language_max_length: int = 32
    language_vocabulary: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("num_encoder_layers", "language_max_length")
        if self.language_vocabulary < 0:
            raise ValueError(f"language_vocabulary must not be negative, got {self.language_vocabulary}")

    @property
    def inputs(self) -> list[str]:
        language = [OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK] if self.language_tokenizer else []
        return super().inputs + language
