"""What a camera is to the camera node: opened, read frame by frame, closed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class CameraError(RuntimeError):
    """A camera cannot deliver frames; the message is one sentence for the user."""


@dataclass(frozen=True)
class Frame:
    """One image.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        stamp_ns: time of capture on the monotonic clock (``time.monotonic_ns``).
    """

    image: NDArray[np.uint8]
    stamp_ns: int


class FrameSource(Protocol):
    """A camera. One thread at a time uses it."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every frame in pixels; known once the source is open."""

    def open(self) -> None:
        """Start the camera.

        Raises:
            CameraError: if there is no such camera, or it does not offer what was asked of it.
        """

    def read(self) -> Frame:
        """Wait for the next frame and return it.

        Raises:
            CameraError: if no more frames come, or none came for much longer than a frame lasts.
        """

    def close(self) -> None:
        """Release the camera; a source that is not open is left alone. It can be opened again."""
