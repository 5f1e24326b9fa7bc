"""The images of a strip: how many, how large, and which moments they show."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

IMAGES = 12
FILM_WIDTH = 320
"""Of an image with both cameras side by side, at most (pixels)."""


def join_images(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return images (H, W, 3) of one size in a row, scaled down to at most ``FILM_WIDTH`` together."""
    row = np.hstack(images)
    return np.asarray(Image.fromarray(row).reduce(-(-row.shape[1] // FILM_WIDTH)))


def evenly(count: int) -> list[int]:
    """Up to ``IMAGES`` of so many indices, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, IMAGES)).round().astype(int)).tolist()
