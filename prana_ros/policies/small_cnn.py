"""A small convolutional backbone for the twin: trained from scratch in minutes on two CPU cores."""

from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prana_ros.policies.precision import full_precision

CHANNELS = (16, 32, 64, 128)
KEYPOINTS = 32


class ResidualStage(nn.Module):
    """Halve the resolution, then one residual 3x3 convolution. Group normalization: small batches, no running state."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.reduce_norm = nn.GroupNorm(8, outputs)
        self.refine = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.refine_norm = nn.GroupNorm(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.reduce_norm(self.reduce(x)))
        return F.relu(x + self.refine_norm(self.refine(x)))


class SpatialSoftmax(nn.Module):
    """Expected image coordinates, in [-1, 1], of each of ``keypoints`` learned heat maps: (B, 2 * keypoints).

    Where something is matters more to a grasp than what it is; the token grid alone resolves only its cell size.
    """

    def __init__(self, channels: int, keypoints: int):
        super().__init__()
        self.heat = nn.Conv2d(channels, keypoints, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        weight = self.heat(x).flatten(2).softmax(-1).unflatten(-1, (height, width))
        rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)
        columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)
        return torch.cat([weight.sum(-1) @ rows, weight.sum(-2) @ columns], dim=-1)


class SmallCNN(nn.Module):
    """Four residual stages (16, 32, 64, 128 channels), then (s / 16)² grid tokens and one keypoint token.

    The keypoints are read from the third stage, where a cell is s / 8 wide.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    is_convolutional = True
    width = CHANNELS[-1]

    def __init__(self, image_size: int):
        super().__init__()
        if image_size % 16 or image_size < 32:
            raise ValueError(f"image_size: small_cnn needs a multiple of 16, at least 32, got {image_size}")
        self.num_tokens = (image_size // 16) ** 2 + 1
        self.stages = nn.ModuleList(ResidualStage(*width) for width in pairwise((3, *CHANNELS)))
        self.keypoints = SpatialSoftmax(CHANNELS[-2], KEYPOINTS)
        self.keypoint_token = nn.Linear(2 * KEYPOINTS, self.width)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens (B, num_tokens, width) of normalized images (B, 3, s, s)."""
        x = images
        for stage in self.stages[:-1]:
            x = stage(x)
        with full_precision(x):  # bfloat16 tells apart no more than 256 places in an image
            keypoint = self.keypoint_token(self.keypoints(x.to(self.keypoint_token.weight.dtype)))
        grid = self.stages[-1](x).flatten(2).transpose(1, 2)
        return torch.cat([grid, keypoint[:, None]], dim=1)


class SmallResNet(nn.Sequential):
    """The four stages of :class:`SmallCNN` in the shape of torchvision's residual networks, whose parts LeRobot's own
    policies take by name and place. ACT asks for a normalization and for dilation, which do not concern it.

    Raises:
        ValueError: if pretrained weights are asked for; there are none.
    """

    def __init__(self, weights: None = None, **_: object):
        if weights is not None:
            raise ValueError(
                f"pretrained_backbone_weights is {weights!r}, but there are none of this backbone; allowed: null"
            )
        stages = [ResidualStage(*width) for width in pairwise((3, *CHANNELS))]
        names = ("layer1", "layer2", "layer3", "layer4")
        super().__init__(OrderedDict(zip(names, stages, strict=True)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(CHANNELS[-1], 1)
