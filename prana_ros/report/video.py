"""The video of a run: its cameras side by side, under a caption."""

import contextlib
import os
import threading
from fractions import Fraction
from pathlib import Path
from queue import Queue

import av
import cv2
import numpy as np
from numpy.typing import NDArray

CAPTION_HEIGHT = 28
ENCODER_NICENESS = 15
_TIME_BASE = Fraction(1, 1000)
_CODEC_OPTIONS = {"preset": "veryfast", "crf": "20"}

Image = NDArray[np.uint8]


class SideBySideVideo:
    """An H.264 file with a column per camera, encoded in a thread of its own as the frames arrive.

    An image is written for every frame of the first camera, with the newest frame of each other one; its time in the
    file is its time of capture, so that the video plays in the time of the graph's clock.
    """

    def __init__(self, path: Path, cameras: tuple[str, ...]) -> None:
        """Write to ``path``; ``cameras`` are shown from left to right."""
        self.frames_written = 0
        self._path = path
        self._cameras = cameras
        self._latest: dict[str, Image] = {}
        self._queue: Queue[tuple[float, Image, str] | None] = Queue()
        self._thread = threading.Thread(target=self._encode, name="video", daemon=True)
        self._thread.start()

    def add(self, camera: str, time: float, image: Image, caption: str = "") -> None:
        """Take a frame (height, width, 3), rgb8, captured at ``time`` (s). A camera that is not shown is ignored."""
        if camera not in self._cameras:
            return
        self._latest[camera] = image
        if camera == self._cameras[0] and len(self._latest) == len(self._cameras):
            image = side_by_side([self._latest[name] for name in self._cameras], self._cameras)
            self._queue.put((time, image, caption))

    def close(self) -> None:
        """Write what is left and close the file."""
        self._queue.put(None)
        self._thread.join()

    def _encode(self) -> None:
        # The encoder's threads are born of this one and share its niceness: the servo loop is not to wait for a video.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), ENCODER_NICENESS)
        first = self._queue.get()
        if first is None:
            return
        start, last = first[0], -1
        height, width = first[1].shape[:2]
        with av.open(str(self._path), "w") as container:
            stream = container.add_stream("libx264", rate=30, options=_CODEC_OPTIONS)
            stream.width, stream.height, stream.pix_fmt = width, height + CAPTION_HEIGHT, "yuv420p"
            stream.codec_context.time_base = _TIME_BASE
            item: tuple[float, Image, str] | None = first
            while item is not None:
                time, image, caption = item
                stamp = round((time - start) * _TIME_BASE.denominator)
                # A time of capture that did not move on cannot be encoded: the image is the one before it.
                if stamp > last and image.shape == (height, width, 3):
                    frame = av.VideoFrame.from_ndarray(_captioned(image, caption), format="rgb24")
                    frame.pts, frame.time_base = stamp, _TIME_BASE
                    container.mux(stream.encode(frame))
                    last, self.frames_written = stamp, self.frames_written + 1
                item = self._queue.get()
            container.mux(stream.encode(None))


def side_by_side(images: list[Image], names: tuple[str, ...]) -> Image:
    """Return the images (H, W, 3) in a row, scaled to the first one's height, each with its name; sizes are even."""
    height = images[0].shape[0] // 2 * 2
    columns = []
    for image, name in zip(images, names, strict=True):
        width = round(image.shape[1] * height / image.shape[0] / 2) * 2
        column = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        columns.append(_with_text(column, name, (6, height - 8)))
    return np.hstack(columns)


def _captioned(image: Image, caption: str) -> Image:
    bar = np.full((CAPTION_HEIGHT, image.shape[1], 3), 24, np.uint8)
    return np.vstack([_with_text(bar, caption, (6, CAPTION_HEIGHT - 9)), image])


def _with_text(image: Image, text: str, position: tuple[int, int]) -> Image:
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, position, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, thickness, cv2.LINE_AA)
    return image
