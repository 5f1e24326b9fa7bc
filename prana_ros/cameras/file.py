"""A camera that plays an image, a folder of images or a video, over and over."""

import re
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from prana_ros.cameras.source import CameraError, Frame

Pixels = NDArray[np.uint8]
"""(H, W, 3), RGB."""

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class FileSource:
    """Plays images from files at a fixed rate, each once in a round, in the order of the file's frames or names.

    Args:
        path: an image, a folder of images (played in the order of their names, 2.png before 10.png) or a video.
        fps: images a second, whatever the file's own rate is.
        width: width to which images are scaled, in pixels; 0 keeps that of the first.
        height: likewise.
    """

    def __init__(self, path: str | Path, fps: float, width: int = 0, height: int = 0) -> None:
        self._path = Path(path).expanduser()
        self._period_ns = round(1e9 / fps)
        self._wanted = (width, height)
        self._size = (0, 0)
        self._images: Iterator[Pixels] | None = None
        self._due_ns = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every frame in pixels; known once the source is open."""
        return self._size

    def open(self) -> None:
        """Read the first image, which gives the size and shows that the file can be played.

        Raises:
            CameraError: if there is nothing to play at the path.
        """
        images = _endless(self._path)
        first = next(images)
        height, width = first.shape[:2]
        self._size = (self._wanted[0] or width, self._wanted[1] or height)
        self._images = chain([first], images)
        self._due_ns = time.monotonic_ns()

    def read(self) -> Frame:
        """Wait until the next image is due and return it, stamped with the moment at which it was due.

        Where the reader or the decoder is more than a period late, the clock of the source starts anew: images are
        delayed, as by a slow camera, and never delivered in a burst.

        Raises:
            CameraError: if the source is not open, or a file can no longer be read.
        """
        if self._images is None:
            raise CameraError(f"The camera of {self._path} is not open.")
        try:
            image = self._scaled(next(self._images))
        except CameraError:
            self.close()
            raise
        now = time.monotonic_ns()
        if now < self._due_ns:
            time.sleep((self._due_ns - now) * 1e-9)
        elif now > self._due_ns + self._period_ns:
            self._due_ns = now
        stamp_ns = self._due_ns
        self._due_ns += self._period_ns
        return Frame(image, stamp_ns)

    def close(self) -> None:
        """Close the files."""
        self._images = None

    def _scaled(self, image: Pixels) -> Pixels:
        height, width = image.shape[:2]
        if (width, height) == self._size:
            return image
        shrinks = self._size[0] * self._size[1] < width * height
        scaled = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.asarray(scaled, dtype=np.uint8)


def _endless(path: Path) -> Iterator[Pixels]:
    """All images at ``path``, round after round."""
    if not path.exists():
        raise CameraError(f"There is no file {path} to play as a camera.")
    if path.is_dir():
        return _slides(_images_in(path))
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _still(_image(path))
    return _looped_video(path)


def _images_in(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise CameraError(f"The folder {folder} has no image to play; images end in {_suffixes()}.")
    return sorted(files, key=_by_number)


def _by_number(file: Path) -> list[tuple[int, str]]:
    """Sorting key by which 2.png comes before 10.png."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]


def _image(file: Path) -> Pixels:
    try:
        with Image.open(file) as image:
            return np.array(image.convert("RGB"))
    except UnidentifiedImageError:
        raise CameraError(f"The file {file} is not an image.") from None
    except Image.DecompressionBombError:
        raise CameraError(f"The image {file} has more pixels than any camera's.") from None
    except OSError as error:
        raise CameraError(f"The image {file} cannot be read: {error}.") from None


def _still(image: Pixels) -> Iterator[Pixels]:
    while True:
        yield image


def _slides(files: list[Path]) -> Iterator[Pixels]:
    while True:
        for file in files:
            yield _image(file)


def _looped_video(file: Path) -> Iterator[Pixels]:
    while True:
        count = 0
        try:
            with av.open(str(file)) as container:
                for frame in container.decode(video=0):
                    yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                    count += 1
        except (av.FFmpegError, IndexError) as error:
            reason = error.strerror if isinstance(error, av.FFmpegError) else "it has no images"
            raise CameraError(
                f"The file {file} cannot be played as a video: {reason}; images end in {_suffixes()}."
            ) from None
        if count == 0:
            raise CameraError(f"The video {file} has no images.")


def _suffixes() -> str:
    return ", ".join(sorted(IMAGE_SUFFIXES))
