"""Configuration of PRANA v3; the defaults are the full-size policy (26.5 M trainable parameters)."""

from dataclasses import dataclass

from lerobot.configs.policies import PreTrainedConfig

from prana_ros.policies.flow_config import FlowPolicyConfig


@PreTrainedConfig.register_subclass("prana_v3")
@dataclass
class PranaV3Config(FlowPolicyConfig):
    """DINOv2 ViT-Small at 224 without its class token, D = 384, 4 context and 8 decoder layers, chunks of 50."""

    backbone: str = "vit_small_patch14_dinov2"
    use_class_token: bool = False
    dim: int = 384
    num_heads: int = 6
