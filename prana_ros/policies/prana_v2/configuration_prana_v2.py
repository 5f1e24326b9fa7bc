"""Configuration of PRANA v2; the defaults are the full-size policy (11.8 M trainable parameters)."""

from dataclasses import dataclass

from lerobot.configs.policies import PreTrainedConfig

from prana_ros.policies.flow_config import FlowPolicyConfig


@PreTrainedConfig.register_subclass("prana_v2")
@dataclass
class PranaV2Config(FlowPolicyConfig):
    """ViT-Tiny at 224, D = 256, 4 context and 8 decoder layers, chunks of 50."""
