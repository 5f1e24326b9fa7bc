"""PRANA v1: action chunks by L1 regression on a ViT-Tiny that is trained with the rest."""

from prana_ros.policies.prana_v1.configuration_prana_v1 import PranaV1Config

__all__ = ["PranaV1Config"]
