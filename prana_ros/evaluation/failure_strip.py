"""Pages of failure strips: what happened in the episodes that failed."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.image_strip import IMAGES, evenly, join_images

IMAGE_WIDTH = 240
STRIPS_A_PAGE = 8
PAGES = 5
"""At most; further failures are left to their seeds."""
_FIRST_PERIOD = 0.25
_CAPTION_HEIGHT = 26
_GAP = 2
_PAPER, _INK = 255, 20


class StripRecorder:
    """Takes images of an episode while it goes on, evenly spaced, without knowing how long it will last."""

    def __init__(self) -> None:
        self._images: list[np.ndarray] = []
        self._period, self._due = _FIRST_PERIOD, -math.inf

    def add(self, time: float, images: Sequence[np.ndarray]) -> None:
        """Take what the cameras see (H, W, 3) at a time in s, if it is time for an image again."""
        if time < self._due:
            return
        self._due = time + self._period
        self._images.append(join_images(images))
        if len(self._images) == 2 * IMAGES:
            self._images = self._images[::2]
            self._period, self._due = 2 * self._period, self._due + self._period

    def strip(self) -> tuple[np.ndarray, ...]:
        """Return ``IMAGES`` of the images, or as many as there are, the first and the last among them."""
        return tuple(self._images[index] for index in evenly(len(self._images)))


def write_failure_pages(episodes: Sequence[Episode], folder: Path, stem: str) -> list[Path]:
    """Write ``STEM_1.png`` and so on: a strip of each failure whose images were kept, under its scene and outcome.

    Returns:
        The pages; none where nothing failed, or nothing was filmed.
    """
    strips = [failure_strip(episode) for episode in episodes if not episode.success and episode.strip]
    pages = []
    for number, page in enumerate(itertools.batched(strips[: PAGES * STRIPS_A_PAGE], STRIPS_A_PAGE), start=1):
        path = folder / f"{stem}_{number}.png"
        if not cv2.imwrite(str(path), cv2.cvtColor(np.vstack(page), cv2.COLOR_RGB2BGR)):
            raise OSError(f"{path} cannot be written")
        pages.append(path)
    return pages


def failure_strip(episode: Episode) -> np.ndarray:
    """Return the images of an episode from left to right under a caption, (H, W, 3) uint8 RGB.

    W is the same for all episodes, H for all strips of one format.
    """
    height, width = episode.strip[0].shape[:2]
    size = (IMAGE_WIDTH, round(height * IMAGE_WIDTH / width))
    images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in episode.strip[:IMAGES]]
    strip = np.full((_CAPTION_HEIGHT + size[1] + 2 * _GAP, IMAGES * (IMAGE_WIDTH + _GAP), 3), _PAPER, np.uint8)
    for column, image in enumerate(images):
        left = column * (IMAGE_WIDTH + _GAP)
        strip[_CAPTION_HEIGHT : _CAPTION_HEIGHT + size[1], left : left + IMAGE_WIDTH] = image
    caption = f"scene {episode.seed}: {episode.outcome} after {episode.duration:.1f} s, {episode.chunks} chunks"
    ink = (_INK,) * 3
    cv2.putText(strip, caption, (4, _CAPTION_HEIGHT - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.55, ink, 1, cv2.LINE_AA)
    return strip
