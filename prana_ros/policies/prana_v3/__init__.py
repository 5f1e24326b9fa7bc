"""PRANA v3: v2's flow matching on a frozen DINOv2 ViT-Small, at a larger width."""

from prana_ros.policies.prana_v3.configuration_prana_v3 import PranaV3Config

__all__ = ["PranaV3Config"]
