"""Random changes of training images, on the training device, each image of a batch with its own draw.

Images are (B, 3, s, s), float in [0, 1]. A camera's image may have been stretched to that square: its aspect is the
image's width divided by its height.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in gray (ITU-R BT.601), as torchvision rounds them."""
HUE_SHARE = 0.25
"""A color jitter of strength 1 turns the hue by a quarter of a half turn either way."""


def random_shift(images: Tensor, pixels: int) -> Tensor:
    """Shift each image by its own whole number of pixels in [-pixels, pixels], edges repeated."""
    batch, _, height, width = images.shape
    padded = F.pad(images, (pixels,) * 4, mode="replicate")
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: every possible shift of every image
    row, column = torch.randint(0, 2 * pixels + 1, (2, batch), device=images.device)
    return windows[torch.arange(batch, device=images.device), :, row, column]


def resample(images: Tensor, side: Tensor, center: Tensor, angle: Tensor, aspect: float = 1.0) -> Tensor:
    """The content of a turned square inside each image, enlarged to the whole; bilinear, edges repeated.

    Args:
        side: of the square, as a share of the image (B,).
        center: of the square (B, 2) as (x, y), in half image sides from the image's center, y downwards.
        angle: by which the content turns counter-clockwise, radians (B,); rigidly in the image of this ``aspect``.
    """
    cos, sin = side * angle.cos(), side * angle.sin()
    rows = torch.stack([cos, -sin / aspect, center[:, 0], sin * aspect, cos, center[:, 1]], dim=-1)
    grid = F.affine_grid(rows.unflatten(-1, (2, 3)), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)


def random_crop_and_rotation(images: Tensor, crop: float, rotation: float, aspect: float = 1.0) -> Tensor:
    """Show a random square of each image: its side is in [crop, 1], its angle in ± ``rotation`` degrees."""
    side = 1 - (1 - crop) * _uniform(images, 0, 1)
    center = (1 - side)[:, None] * torch.stack([_uniform(images, -1, 1), _uniform(images, -1, 1)], dim=-1)
    return resample(images, side, center, math.radians(rotation) * _uniform(images, -1, 1), aspect)


def change_colors(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Factors (B,) as torchvision's, 1 leaving the image as it is; the hue turns by an angle (B,) about the gray axis.

    All four are one affine map of the colors of each image, cut to [0, 1] at the end.
    """
    luma = images.new_tensor(LUMA)
    gray = brightness * torch.einsum("c,bc->b", luma, images.mean(dim=(2, 3)))
    towards_gray = luma.expand(3, 3)
    keep = torch.eye(3, device=images.device, dtype=images.dtype)
    saturate = saturation[:, None, None] * keep + (1 - saturation)[:, None, None] * towards_gray
    matrix = _hue_rotation(hue) @ saturate
    # Gray stays gray under both, so the contrast's offset passes them unchanged.
    scaled = (contrast * brightness)[:, None, None] * matrix
    offset = ((1 - contrast) * gray)[:, None, None, None]
    return (torch.einsum("bij,bjhw->bihw", scaled, images) + offset).clamp(0, 1)


def random_colors(images: Tensor, strength: float) -> Tensor:
    """Brightness, contrast and saturation times 1 ± strength, hue turned by up to strength · 45°, of each image."""
    brightness, contrast, saturation = (_uniform(images, 1 - strength, 1 + strength) for _ in range(3))
    hue = HUE_SHARE * math.pi * strength * _uniform(images, -1, 1)
    return change_colors(images, brightness, contrast, saturation, hue)


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(len(images), device=images.device, dtype=images.dtype)


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotations (B, 3, 3) of colors about the gray axis (Rodrigues' formula)."""
    axis = angle.new_full((3,), 1 / math.sqrt(3))
    cross = torch.linalg.cross(torch.eye(3, device=angle.device, dtype=angle.dtype), axis.expand(3, 3)).T
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return cos * torch.eye(3, device=angle.device, dtype=angle.dtype) - sin * cross + (1 - cos) * axis.outer(axis)


@dataclass(frozen=True)
class Augmentation:
    """What happens to the images of one camera; the defaults leave them as they are.

    Attributes:
        shift: largest shift in whole pixels.
        crop: smallest side of the shown part, as a share of the image.
        rotation: largest angle in degrees.
        color: strength of the color jitter, see :func:`random_colors`.
        aspect: of the image that was made into the square image.
    """

    shift: int = 0
    crop: float = 1.0
    rotation: float = 0.0
    color: float = 0.0
    aspect: float = 1.0

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Images changed, each in its own way."""
        if self.crop < 1 or self.rotation:
            images = random_crop_and_rotation(images, self.crop, self.rotation, self.aspect)
        if self.shift:
            images = random_shift(images, self.shift)
        if self.color:
            images = random_colors(images, self.color)
        return images


WRIST_DEFAULT = Augmentation(crop=0.95, rotation=3.0, color=0.2)
FIELDS = {
    "random_shift_pixels": "shift",
    "random_crop": "crop",
    "random_rotation": "rotation",
    "color_jitter": "color",
}
"""The options of a policy's configuration and the fields that they set."""
LIMITS = {"shift": (0, math.inf), "crop": (0, 1), "rotation": (0, 180), "color": (0, 1)}


def is_wrist_camera(camera: str) -> bool:
    """Whether a camera key is that of a camera on the hand."""
    return "wrist" in camera.lower()


def check_strengths(strengths: Mapping[str, Mapping[str, float] | None]) -> None:
    """Check a configuration's options, by option and camera key.

    Raises:
        ValueError: if a strength is out of its range, or colors are to change on a camera that is not on the wrist.
    """
    for option, by_camera in strengths.items():
        low, high = LIMITS[FIELDS[option]]
        for camera, strength in (by_camera or {}).items():
            if not low <= strength <= high or (option == "random_crop" and strength == 0):
                interval = f"({low}, {high}]" if option == "random_crop" else f"[{low}, {high}]"
                raise ValueError(f"{option} of {camera} must be in {interval}, got {strength}")
            if option == "color_jitter" and strength and not is_wrist_camera(camera):
                raise ValueError(
                    f"color_jitter names {camera}; allowed: cameras with 'wrist' in their name, "
                    "because on the others colors tell things apart"
                )


def camera_augmentations(
    aspects: Mapping[str, float], strengths: Mapping[str, Mapping[str, float] | None]
) -> dict[str, Augmentation]:
    """Each camera's augmentation, from its aspect and a configuration's options; None leaves one to the default."""
    return {camera: _augmentation(camera, aspect, strengths) for camera, aspect in aspects.items()}


def _augmentation(camera: str, aspect: float, strengths: Mapping[str, Mapping[str, float] | None]) -> Augmentation:
    default = WRIST_DEFAULT if is_wrist_camera(camera) else Augmentation()
    chosen: dict[str, Any] = {"aspect": aspect}
    for option, by_camera in strengths.items():
        field = FIELDS[option]
        values = {camera: getattr(default, field)} if by_camera is None else by_camera
        chosen[field] = values.get(camera, getattr(Augmentation, field))
    return Augmentation(**chosen)
