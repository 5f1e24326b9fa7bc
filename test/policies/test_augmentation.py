"""What augmentation does to images, against torchvision."""

import math

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from hypothesis import given
from hypothesis import strategies as st
from support.policies import TABLE, WRIST, tiny_config

from prana_ros.policies.augmentation import (
    WRIST_DEFAULT,
    Augmentation,
    camera_augmentations,
    change_colors,
    check_strengths,
    random_shift,
    resample,
)

ALL = Augmentation(shift=2, crop=0.8, rotation=20, color=0.5)
STRENGTHS = st.builds(
    Augmentation, shift=st.integers(0, 4), crop=st.floats(0.2, 1), rotation=st.floats(0, 180), color=st.floats(0, 1)
)


def smooth_images(count: int, size: int = 32) -> torch.Tensor:
    """Images whose values lie in [0.35, 0.65], and whose neighboring pixels are alike."""
    coarse = torch.rand(count, 3, 5, 5)
    return 0.35 + 0.3 * torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def inner(images: torch.Tensor) -> torch.Tensor:
    """The pixels of the inscribed circle, which no rotation takes out of the image: (..., n)."""
    size = images.shape[-1]
    place = torch.arange(size) - (size - 1) / 2
    return images[..., place.square()[:, None] + place.square() < (size / 2 - 1.5) ** 2]


@given(st.integers(1, 4), st.integers(0, 1000))
def test_a_shift_moves_the_whole_image_by_whole_pixels(pixels, seed):
    torch.manual_seed(seed)
    image = torch.rand(5, 3, 12, 12)
    shifted = random_shift(image, pixels)
    inside = slice(pixels, 12 - pixels)
    for before, after in zip(image, shifted, strict=True):
        matches = [
            (dy, dx)
            for dy in range(-pixels, pixels + 1)
            for dx in range(-pixels, pixels + 1)
            if torch.equal(after[:, inside, inside], before.roll((dy, dx), (1, 2))[:, inside, inside])
        ]
        assert len(matches) == 1


@given(st.lists(st.floats(-180, 180), min_size=1, max_size=3))
def test_a_rotation_is_torchvisions(degrees):
    images = smooth_images(len(degrees))
    angle = torch.tensor(degrees) * math.pi / 180
    turned = resample(images, torch.ones(len(degrees)), torch.zeros(len(degrees), 2), angle)
    for before, after, degree in zip(images, turned, degrees, strict=True):
        expected = tv.rotate(before, degree, tv.InterpolationMode.BILINEAR)
        torch.testing.assert_close(inner(after), inner(expected), atol=2e-4, rtol=0)


@given(st.floats(-180, 180))
def test_an_image_that_was_stretched_is_turned_as_before_it_was(degrees):
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 8), (64, 128), mode="bicubic")
    turned = tv.rotate(image, degrees, tv.InterpolationMode.BILINEAR)
    stretched, expected = (torch.nn.functional.interpolate(p, (128, 128), mode="bilinear") for p in (image, turned))
    angle = torch.tensor([degrees * math.pi / 180])
    shown = resample(stretched, torch.ones(1), torch.zeros(1, 2), angle, aspect=2.0)
    inside = (..., slice(26, 102), slice(45, 83))  # no angle takes this part of the image out of it
    torch.testing.assert_close(shown[inside], expected[inside], atol=0.01, rtol=0)


def test_only_stretching_changes_the_aspect():
    aspects = {m: tiny_config(resize_mode=m).augmentations[WRIST].aspect for m in ("stretch", "letterbox")}
    assert aspects == {"stretch": pytest.approx(4 / 3), "letterbox": 1.0}


@given(st.integers(16, 32), st.floats(0, 1), st.floats(0, 1))
def test_a_crop_is_torchvisions(side, right, down):
    images = smooth_images(1)
    left, top = int(right * (32 - side)), int(down * (32 - side))
    center = torch.tensor([[(left + side / 2) / 16 - 1, (top + side / 2) / 16 - 1]])
    shown = resample(images, torch.tensor([side / 32]), center, torch.zeros(1))
    expected = tv.resized_crop(images, top, left, side, side, [32, 32], antialias=False)
    torch.testing.assert_close(shown[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=2e-5, rtol=0)


@given(st.floats(0.8, 1.2), st.floats(0.6, 1.4), st.floats(0, 2))
def test_brightness_contrast_and_saturation_are_torchvisions(brightness, contrast, saturation):
    images = smooth_images(2)
    factors = [torch.full((2,), factor) for factor in (brightness, contrast, saturation)]
    expected = tv.adjust_brightness(images, brightness)
    expected = tv.adjust_saturation(tv.adjust_contrast(expected, contrast), saturation)
    # torchvision's weights of gray add up to 0.9999.
    torch.testing.assert_close(change_colors(images, *factors, torch.zeros(2)), expected, atol=5e-4, rtol=0)


def test_a_hue_turned_by_a_third_swaps_the_channels_and_gray_stays_gray():
    images = smooth_images(2)
    one, angle = torch.ones(2), torch.tensor([2 * math.pi / 3, -2 * math.pi / 3])
    turned = change_colors(images, one, one, one, angle)
    torch.testing.assert_close(turned[0], images[0].roll(1, 0), atol=1e-5, rtol=0)
    torch.testing.assert_close(turned[1], images[1].roll(-1, 0), atol=1e-5, rtol=0)
    gray = images.mean(1, keepdim=True).expand_as(images)
    torch.testing.assert_close(change_colors(gray, one, one, one, angle / 7), gray, atol=1e-5, rtol=0)


def test_strength_zero_changes_nothing():
    images = torch.rand(3, 3, 16, 16)
    assert torch.equal(Augmentation()(images), images)


@given(STRENGTHS, st.integers(0, 1000))
def test_values_stay_in_their_range(augmentation, seed):
    torch.manual_seed(seed)
    changed = augmentation(torch.rand(4, 3, 16, 16).round())
    assert changed.shape == (4, 3, 16, 16)
    assert changed.min() >= 0
    assert changed.max() <= 1


@pytest.mark.parametrize("name", ["shift", "crop", "rotation", "color"])
def test_each_image_of_a_batch_has_its_own_draw(name):
    torch.manual_seed(0)
    image = smooth_images(1)
    changed = Augmentation(**{name: getattr(ALL, name)})(image.expand(3, -1, -1, -1).contiguous())
    for a, b in ((changed[0], changed[1]), (changed[1], changed[2]), (changed[0], image[0])):
        assert not torch.allclose(a, b, atol=1e-4)


def test_a_crop_shows_all_parts_of_the_image_and_never_more():
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 64).expand(2000, 3, 64, 64)
    shown = Augmentation(crop=0.5)(ramp)
    left, right = shown[:, 0, 32, 0], shown[:, 0, 32, -1]
    assert (right - left).min() > 0.48
    assert left.min() < 0.02
    assert right.max() > 0.98
    assert left.mean().item() == pytest.approx(1 - right.mean().item(), abs=0.02)


# Options


OPEN = dict.fromkeys(["random_shift_pixels", "random_crop", "random_rotation", "color_jitter"])
SQUARE = {TABLE: 1.0, WRIST: 1.0}


def test_what_is_left_open_changes_wrist_cameras_mildly_and_others_not():
    assert camera_augmentations(SQUARE, OPEN) == {TABLE: Augmentation(), WRIST: WRIST_DEFAULT}


def test_an_empty_option_is_none_and_a_given_one_is_for_the_cameras_that_it_names():
    options = {**OPEN, "color_jitter": {}, "random_rotation": {TABLE: 2.0}}
    table, wrist = camera_augmentations(SQUARE, options).values()
    assert (table.rotation, table.color, table.crop) == (2.0, 0, 1)
    assert (wrist.rotation, wrist.color, wrist.crop) == (0, 0, WRIST_DEFAULT.crop)


@pytest.mark.parametrize(
    ("option", "strengths", "sentence"),
    [
        ("random_crop", {WRIST: 0.0}, r"random_crop of .*wrist must be in \(0, 1\], got 0.0"),
        ("random_crop", {WRIST: 1.5}, "got 1.5"),
        ("random_rotation", {TABLE: -3.0}, r"random_rotation of .*table must be in \[0, 180\], got -3.0"),
        ("random_shift_pixels", {TABLE: -1}, "random_shift_pixels"),
        ("color_jitter", {WRIST: float("nan")}, "color_jitter"),
        ("color_jitter", {TABLE: 0.2}, "color_jitter names observation.images.table; allowed: cameras with 'wrist'"),
    ],
)
def test_a_bad_strength_is_refused_by_name(option, strengths, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_strengths({option: strengths})
