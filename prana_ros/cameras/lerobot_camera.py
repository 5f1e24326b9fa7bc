"""A frame source as a LeRobot camera, for LeRobot's own commands on an arm or twin without cameras."""

import atexit
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from lerobot.cameras.camera import Camera
from lerobot.cameras.configs import Cv2Rotation
from lerobot.cameras.utils import get_cv2_rotation
from lerobot.utils.decorators import check_if_already_connected, check_if_not_connected
from numpy.typing import NDArray

from prana_ros.cameras.config_lerobot_camera import PranaFileCameraConfig
from prana_ros.cameras.file import FileSource
from prana_ros.cameras.shared_frames import SUFFIX, SharedFrameSource
from prana_ros.cameras.source import CameraError, Frame, FrameSource

Image = NDArray[np.uint8]


class PranaFileCamera(Camera):
    """Reads its source in a thread of its own and hands out the newest image, (height, width, 3) uint8 RGB.

    What stops the source is raised by the next read, as the source's :class:`CameraError`.
    """

    def __init__(self, config: PranaFileCameraConfig) -> None:
        super().__init__(config)
        self._path = config.path
        self._source = _source(config)
        self._rotation = get_cv2_rotation(config.rotation)
        self._swaps_sides = _swaps_sides(config)
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._taken: Frame | None = None
        self._failure: CameraError | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __str__(self) -> str:
        return f"{type(self).__name__}({self._path})"

    @property
    def is_connected(self) -> bool:
        return self._thread is not None

    @staticmethod
    def find_cameras() -> list[dict[str, Any]]:
        """None: every file can be a camera."""
        return []

    @check_if_already_connected
    def connect(self, warmup: bool = True) -> None:
        """Open the source and wait for its first image.

        Raises:
            ConnectionError: if there is nothing to play at the path, as LeRobot's own cameras say it.
            CameraError: if the first image does not come.
        """
        try:
            self._source.open()
        except CameraError as error:
            raise ConnectionError(str(error)) from None
        width, height = self._source.size
        self.width, self.height = (height, width) if self._swaps_sides else (width, height)
        self._frame = self._taken = self._failure = None
        self._stopping.clear()
        self._thread = threading.Thread(target=self._read_all, name=f"{self}", daemon=True)
        self._thread.start()
        # A program may end without disconnect(): a thread that decodes while the interpreter ends would abort it.
        atexit.register(self._stop)
        if warmup:
            try:
                self.read()
            except CameraError:
                self.disconnect()
                raise

    @check_if_not_connected
    def read(self) -> Image:
        """Wait for the next image, however long the source takes, and return it."""
        with self._changed:
            seen = self._frame
            self._taken = self._wait(lambda: self._frame is not seen, None)
            return self._taken.image

    @check_if_not_connected
    def async_read(self, timeout_ms: float = 200) -> Image:
        """The newest image that this method has not returned yet; waits for one if there is none.

        Raises:
            TimeoutError: if none comes within ``timeout_ms``.
        """
        with self._changed:
            self._taken = self._wait(lambda: self._frame is not self._taken, timeout_ms)
            return self._taken.image

    @check_if_not_connected
    def read_latest(self, max_age_ms: int = 500) -> Image:
        """The newest image, at once.

        Raises:
            TimeoutError: if it is older than ``max_age_ms``, or none has come yet.
        """
        with self._changed:
            frame = self._wait(lambda: self._frame is not None, 0)
        age_ms = (time.monotonic_ns() - frame.stamp_ns) * 1e-6
        if age_ms > max_age_ms:
            raise TimeoutError(f"The newest image of {self} is {age_ms:.0f} ms old; allowed are {max_age_ms} ms.")
        return frame.image

    @check_if_not_connected
    def disconnect(self) -> None:
        """Stop reading and close the source."""
        atexit.unregister(self._stop)
        self._stop()

    def _stop(self) -> None:
        assert self._thread is not None
        self._stopping.set()
        self._thread.join()
        self._thread = None
        self._source.close()

    def _wait(self, has_come: Callable[[], bool], timeout_ms: float | None) -> Frame:
        """The newest frame as soon as ``has_come``; to be called while holding the condition."""
        timeout = None if timeout_ms is None else timeout_ms * 1e-3
        self._changed.wait_for(lambda: self._failure is not None or has_come(), timeout)
        if self._failure is not None:
            raise self._failure
        if not has_come() or self._frame is None:
            raise TimeoutError(f"No image came from {self} within {timeout_ms:g} ms.")
        return self._frame

    def _read_all(self) -> None:
        while not self._stopping.is_set():
            failure = frame = None
            try:
                frame = self._turned(self._source.read())
            except CameraError as error:
                failure = error
            with self._changed:
                self._frame, self._failure = frame or self._frame, failure
                self._changed.notify_all()
            if failure is not None:
                return

    def _turned(self, frame: Frame) -> Frame:
        if self._rotation is None:
            return frame
        return replace(frame, image=np.asarray(cv2.rotate(frame.image, self._rotation), dtype=np.uint8))


def _swaps_sides(config: PranaFileCameraConfig) -> bool:
    return config.rotation in (Cv2Rotation.ROTATE_90, Cv2Rotation.ROTATE_270)


def _source(config: PranaFileCameraConfig) -> FrameSource:
    width, height = config.width or 0, config.height or 0
    if _swaps_sides(config):
        width, height = height, width
    if config.path.suffix == SUFFIX:
        return SharedFrameSource(config.path, width, height)
    assert config.fps is not None
    return FileSource(config.path, config.fps, width, height)
