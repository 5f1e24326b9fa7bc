"""PRANA v2: flow matching with correlated noise on a frozen ViT-Tiny."""

from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config

__all__ = ["PranaV2Config"]
