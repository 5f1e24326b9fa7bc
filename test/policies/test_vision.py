import pytest
import torch
import torchvision
from PIL import Image

from prana_ros.policies import registration  # noqa: F401  (torchvision then knows the small backbone)
from prana_ros.policies.augmentation import Augmentation
from prana_ros.policies.small_cnn import SmallCNN
from prana_ros.policies.vision import VisionEncoder, make_backbone, resize_images

CAMERAS = ["observation.images.table", "observation.images.wrist"]


def encoder(**changes) -> VisionEncoder:
    options = {
        "backbone": "small_cnn",
        "image_size": 32,
        "resize_mode": "stretch",
        "freeze": False,
        "per_camera": False,
        "pretrained": False,
        "keep_class_token": True,
        "augmentations": {camera: Augmentation() for camera in CAMERAS},
    }
    return VisionEncoder(CAMERAS, 16, **{**options, **changes})


def test_resizing_antialiases_as_pillow_does():
    image = (torch.rand(3, 48, 64) * 255).to(torch.uint8)
    pillow = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((32, 32), Image.Resampling.BILINEAR)
    expected = torch.frombuffer(bytearray(pillow.tobytes()), dtype=torch.uint8).view(32, 32, 3).permute(2, 0, 1)
    assert (resize_images(image[None], 32)[0] * 255 - expected).abs().max() <= 1.01


def test_an_image_of_the_right_size_is_not_touched():
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(resize_images(image, 32), image)


def test_letterboxing_keeps_the_aspect_ratio():
    boxed = resize_images(torch.ones(1, 3, 24, 48), 32, "letterbox")
    assert torch.equal(boxed[0, 0].sum(1), torch.cat([torch.zeros(8), torch.full((16,), 32.0), torch.zeros(8)]))


@pytest.mark.parametrize(
    ("name", "size", "keep_class_token", "tokens", "width"),
    [
        ("vit_tiny_patch16_224", 224, True, 197, 192),
        ("vit_small_patch14_dinov2", 224, False, 256, 384),
        ("vit_small_patch16_224", 224, True, 197, 384),
        ("convnext_tiny", 224, True, 49, 768),
        ("small_cnn", 96, True, 37, 128),
    ],
)
def test_tokens_and_width_are_read_from_the_backbone(name, size, keep_class_token, tokens, width):
    backbone = make_backbone(name, size, pretrained=False, keep_class_token=keep_class_token).eval()
    assert (backbone.num_tokens, backbone.width) == (tokens, width)
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, size, size)).shape == (1, tokens, width)


def test_pretrained_weights_that_cannot_be_had_are_refused_with_what_to_set(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        RuntimeError, match=r"backbone resnet10t.*cannot be had \(.*pretrained_backbone=false"
    ) as refused:
        make_backbone("resnet10t", 32, pretrained=True)
    assert "\n" not in str(refused.value)


def test_an_unknown_backbone_is_refused_by_name():
    with pytest.raises(ValueError, match=r"vit_tinny.*small_cnn"):
        make_backbone("vit_tinny", 224, pretrained=False)


def test_lerobots_policies_get_the_same_stages_and_no_pretrained_weights():
    ours, theirs = SmallCNN(96), torchvision.models.resnet_small_cnn(weights=None)
    for number, stage in enumerate(ours.stages, start=1):
        theirs.get_submodule(f"layer{number}").load_state_dict(stage.state_dict())
    images = torch.rand(2, 3, 96, 96)
    # ACT takes what leaves layer4, Diffusion all but the last two parts.
    grid = torch.nn.Sequential(*list(theirs.children())[:-2])(images)
    torch.testing.assert_close(grid.flatten(2).transpose(1, 2), ours(images)[:, :-1])
    with pytest.raises(ValueError, match=r"weights is 'ResNet18_Weights.IMAGENET1K_V1', but there are none .* null"):
        torchvision.models.resnet_small_cnn(weights="ResNet18_Weights.IMAGENET1K_V1")


@pytest.mark.parametrize("per_camera", [False, True])
def test_cameras_come_in_their_order_and_are_told_apart(per_camera):
    torch.manual_seed(0)
    vision = encoder(per_camera=per_camera).eval()
    first, second = torch.rand(2, 2, 3, 48, 64)
    tokens = vision(dict(zip(CAMERAS, (first, second), strict=True)))
    assert tokens.shape == (2, vision.num_tokens, 16)
    changed = vision(dict(zip(CAMERAS, (first, second * 0.5), strict=True)))
    half = vision.num_tokens // 2
    torch.testing.assert_close(changed[:, :half], tokens[:, :half])
    assert not torch.allclose(changed[:, half:], tokens[:, half:])
    swapped = vision(dict(zip(CAMERAS, (second, first), strict=True)))
    assert not torch.allclose(swapped[:, :half], tokens[:, half:])


def test_augmentation_happens_in_training_only():
    torch.manual_seed(0)
    vision = encoder(augmentations={CAMERAS[0]: Augmentation(shift=3), CAMERAS[1]: Augmentation()})
    batch = {camera: torch.rand(4, 3, 32, 32) for camera in CAMERAS}
    vision.eval()
    assert torch.equal(vision(batch), vision(batch))
    vision.train()
    assert not torch.equal(vision(batch), vision(batch))


def test_uint8_and_float_images_give_the_same_tokens():
    vision = encoder().eval()
    images = {camera: torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8) for camera in CAMERAS}
    torch.testing.assert_close(vision(images), vision({k: v / 255 for k, v in images.items()}))
