"""Images to tokens: resizing and the vision backbone, the same in training and deployment.

A backbone is any timm model by name, or ``small_cnn``. Its token count and width are read from the model, never
from a table. Images are (B, 3, h, w), either float in [0, 1] or uint8 in [0, 255].
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prana_ros.policies.augmentation import Augmentation
from prana_ros.policies.small_cnn import SmallCNN

SMALL_CNN = "small_cnn"
RESIZE_MODES = ("stretch", "letterbox")


class Backbone(Protocol):
    """What :class:`VisionEncoder` needs to know about a backbone."""

    num_tokens: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    is_convolutional: bool

    def __call__(self, images: Tensor) -> Tensor: ...


def resize_images(images: Tensor, size: int, mode: str = "stretch") -> Tensor:
    """Resize (B, 3, h, w) images to (B, 3, size, size) with antialiasing; float in, float out; [0, 1].

    uint8 images are scaled to [0, 1]. Images that already have the size are not resampled, which is what makes a
    cache of resized frames equivalent to resizing in every step. ``letterbox`` keeps the aspect ratio and pads
    with black.
    """
    if not images.is_floating_point():
        images = images.to(torch.get_default_dtype()) / 255
    height, width = images.shape[-2:]
    if (height, width) == (size, size):
        return images
    if mode == "stretch":
        target = (size, size)
    else:
        scale = size / max(height, width)
        target = (max(1, round(height * scale)), max(1, round(width * scale)))
    images = F.interpolate(images, size=target, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    missing_rows, missing_columns = size - target[0], size - target[1]
    if missing_rows or missing_columns:
        top, left = missing_rows // 2, missing_columns // 2
        images = F.pad(images, (left, missing_columns - left, top, missing_rows - top))
    return images


def _create_model(name: str, image_size: int, pretrained: bool) -> nn.Module:
    import timm  # here, because it takes seconds that the policies with the small network need not spend

    try:
        try:
            return timm.create_model(name, pretrained=pretrained, num_classes=0, img_size=image_size)
        except TypeError:  # convolutional models take any size and no such argument
            return timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:  # each of the libraries below timm has errors of its own for a missing network
        if not pretrained:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RuntimeError(
            f"backbone {name}: its pretrained weights cannot be had ({reason}); allowed: a network connection, the "
            "weights in the cache of Hugging Face, or pretrained_backbone=false with freeze_backbone=false"
        ) from error


class TimmBackbone(nn.Module):
    """A timm model as a token extractor: ``forward_features``, whether it returns tokens or a feature map.

    ``keep_class_token=False`` drops the prefix tokens (class and register tokens) and keeps the patches.
    """

    def __init__(self, name: str, image_size: int, *, pretrained: bool, keep_class_token: bool):
        super().__init__()
        import timm

        if not timm.is_model(name):
            near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "none"
            raise ValueError(f"backbone: unknown model {name!r}; allowed: {SMALL_CNN!r} or a timm model (near: {near})")
        self.model = _create_model(name, image_size, pretrained)
        self.mean = tuple(self.model.pretrained_cfg["mean"])
        self.std = tuple(self.model.pretrained_cfg["std"])
        self._dropped = 0 if keep_class_token else getattr(self.model, "num_prefix_tokens", 0)
        was_training = self.model.training
        with torch.no_grad():
            features = self.model.eval().forward_features(torch.zeros(1, 3, image_size, image_size))
        self.model.train(was_training)
        self.is_convolutional = features.ndim == 4
        self.num_tokens, self.width = self._tokens(features).shape[1:]

    def _tokens(self, features: Tensor) -> Tensor:
        return features.flatten(2).transpose(1, 2) if features.ndim == 4 else features[:, self._dropped :]

    def forward(self, images: Tensor) -> Tensor:
        """Tokens (B, num_tokens, width) of normalized images (B, 3, s, s)."""
        return self._tokens(self.model.forward_features(images))


def make_backbone(name: str, image_size: int, *, pretrained: bool, keep_class_token: bool = True) -> nn.Module:
    """A backbone by name. ``pretrained`` downloads timm's weights where they are not cached yet."""
    if name == SMALL_CNN:
        return SmallCNN(image_size)
    return TimmBackbone(name, image_size, pretrained=pretrained, keep_class_token=keep_class_token)


class VisionEncoder(nn.Module):
    """All cameras' images to tokens of the policy's width: backbone, projection, camera-ID embedding.

    ``per_camera`` gives each camera a backbone of its own; otherwise one is shared and run on all cameras in one
    batch. A frozen backbone stays in eval mode whatever ``train()`` says, and no gradient is kept for it.
    """

    def __init__(
        self,
        cameras: list[str],
        dim: int,
        *,
        backbone: str,
        image_size: int,
        resize_mode: str,
        freeze: bool,
        per_camera: bool,
        pretrained: bool,
        keep_class_token: bool,
        augmentations: dict[str, Augmentation],
    ):
        super().__init__()
        self.cameras = list(cameras)
        self.image_size = image_size
        self.resize_mode = resize_mode
        self.freeze = freeze
        self.augmentations = dict(augmentations)
        count = len(self.cameras) if per_camera else 1
        self.backbones = nn.ModuleList(
            make_backbone(backbone, image_size, pretrained=pretrained, keep_class_token=keep_class_token)
            for _ in range(count)
        )
        first = self.backbones[0]
        if freeze:
            self.backbones.requires_grad_(False).eval()
        self.register_buffer("pixel_mean", torch.tensor(first.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(first.std).view(1, 3, 1, 1), persistent=False)
        self.projection = nn.Linear(first.width, dim)
        self.camera_embedding = nn.Parameter(torch.randn(len(self.cameras), dim) * 0.02)
        # Transformers carry positions in their tokens; the tokens of a feature map do not.
        positions = torch.randn(first.num_tokens, dim) * 0.02 if first.is_convolutional else None
        self.position_embedding = nn.Parameter(positions) if positions is not None else None
        self.num_tokens = first.num_tokens * len(self.cameras)

    def train(self, mode: bool = True) -> "VisionEncoder":
        super().train(mode)
        if self.freeze:
            self.backbones.eval()
        return self

    def _prepare(self, camera: str, images: Tensor) -> Tensor:
        images = resize_images(images, self.image_size, self.resize_mode)
        if self.training:
            images = self.augmentations[camera](images)
        return (images - self.pixel_mean) / self.pixel_std

    def _features(self, images: list[Tensor]) -> Tensor:
        """(cameras, B, N, width) from one normalized (B, 3, s, s) per camera."""
        if len(self.backbones) == 1:
            return self.backbones[0](torch.cat(images)).unflatten(0, (len(images), -1))
        return torch.stack([net(image) for net, image in zip(self.backbones, images, strict=True)])

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Tokens (B, num_tokens, dim), cameras one after the other in their configured order."""
        images = [self._prepare(camera, batch[camera]) for camera in self.cameras]
        if self.freeze:
            with torch.no_grad():
                features = self._features(images)
        else:
            features = self._features(images)
        tokens = self.projection(features) + self.camera_embedding[:, None, None, :]
        if self.position_embedding is not None:
            tokens = tokens + self.position_embedding
        return tokens.transpose(0, 1).flatten(1, 2)
