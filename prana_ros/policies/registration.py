"""Importing this module registers all policies of this package with LeRobot, by their configurations.

LeRobot's ACT and Diffusion look their ``vision_backbone`` up among torchvision's models and take any whose name begins
with ``resnet``: ``resnet_small_cnn`` lets them be trained from scratch at the size of the demo's policy.
"""

import torchvision

from prana_ros.policies import prana_v1, prana_v2, prana_v3
from prana_ros.policies.small_cnn import SmallResNet

__all__ = ["prana_v1", "prana_v2", "prana_v3"]

torchvision.models.resnet_small_cnn = SmallResNet
