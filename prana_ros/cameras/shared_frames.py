"""A camera's newest image in a file that one process writes and any number of others read."""

import contextlib
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
from numpy.typing import NDArray

from prana_ros.cameras.source import CameraError, Frame

SUFFIX = ".frames"
TIMEOUT = 2.0
"""Seconds without a new image after which its writer is taken for dead."""

_MAGIC = b"PRANAFR1"
_HEADER = struct.Struct("<8sIIQq")
"""Magic, width, height, number of images so far, stamp of the newest (ns, monotonic clock); then its pixels."""
_POLL = 0.001


class SharedFrameWriter:
    """Keeps the newest image in a file; the file is removed on ``close``.

    Args:
        path: of the file; one that is there is replaced.
        width: of every image in pixels.
        height: likewise.

    Raises:
        OSError: if the file cannot be made.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        self._path = path
        self._size = (width, height)
        self._count = 0
        # Made aside: nobody sees a file without a header.
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        self._file = unfinished.open("w+b")
        try:
            # Its room on the disk is taken now: a write to memory that finds none later would kill the process.
            os.posix_fallocate(self._file.fileno(), 0, _HEADER.size + width * height * 3)
            self._memory = mmap.mmap(self._file.fileno(), 0)
            _HEADER.pack_into(self._memory, 0, _MAGIC, width, height, 0, 0)
            unfinished.replace(path)
        except OSError:
            self._file.close()
            unfinished.unlink()
            raise

    def write(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        """Replace the image by ``image``, (height, width, 3) uint8 RGB, taken at ``stamp_ns``."""
        width, height = self._size
        if image.shape != (height, width, 3):
            raise ValueError(f"the image has shape {image.shape}; it must have {(height, width, 3)}")
        self._count += 1
        with _locked(self._file, fcntl.LOCK_EX):
            self._memory[_HEADER.size :] = image.tobytes()
            _HEADER.pack_into(self._memory, 0, _MAGIC, width, height, self._count, stamp_ns)

    def close(self) -> None:
        """Remove the file, unless another writer has replaced it."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
                self._path.unlink()
        self._memory.close()
        self._file.close()


class SharedFrameSource:
    """The images that a :class:`SharedFrameWriter` writes, as they come; those that come too fast are left out.

    Args:
        path: of the writer's file.
        width: that the images must have, in pixels; 0 takes any.
        height: likewise.
    """

    def __init__(self, path: str | Path, width: int = 0, height: int = 0) -> None:
        self._path = Path(path).expanduser()
        self._wanted = (width, height)
        self._size = (0, 0)
        self._seen = 0
        self._file: IO[bytes] | None = None
        self._memory: mmap.mmap | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of every frame in pixels; known once the source is open."""
        return self._size

    def open(self) -> None:
        """Find the writer's file. Only images that are written from now on will be read.

        Raises:
            CameraError: if there is no such file, or its images have another size than asked for.
        """
        self.close()
        try:
            self._file = self._path.open("rb")
            self._memory = memory = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            magic, width, height, self._seen, _ = _HEADER.unpack_from(memory)
        except FileNotFoundError:
            self._fail("There is no file {}: is the twin running, with --camera-fps?")
        except (OSError, ValueError, struct.error):
            self._fail("The file {} is not readable as shared frames.")
        if magic != _MAGIC or len(memory) != _HEADER.size + width * height * 3:
            self._fail("The file {} does not hold shared frames.")
        if any(wanted not in (0, there) for wanted, there in zip(self._wanted, (width, height), strict=True)):
            asked = " x ".join(str(wanted or "any") for wanted in self._wanted)
            self._fail(f"The images of {{}} are {width} x {height}; asked for were {asked}.")
        self._size = (width, height)

    def read(self) -> Frame:
        """Wait for an image that was not read before and return it.

        Raises:
            CameraError: if the source is not open, or no image came for ``TIMEOUT`` seconds.
        """
        if self._file is None or self._memory is None:
            raise CameraError(f"The camera of {self._path} is not open.")
        end = time.monotonic() + TIMEOUT
        while self._count(self._memory) == self._seen:
            if time.monotonic() > end:
                raise CameraError(f"No image came from {self._path} for {TIMEOUT:g} s: has its writer ended?")
            time.sleep(_POLL)
        with _locked(self._file, fcntl.LOCK_SH):
            *_, self._seen, stamp_ns = _HEADER.unpack_from(self._memory)
            pixels = bytearray(self._memory[_HEADER.size :])  # which makes the image writable
        width, height = self._size
        return Frame(np.frombuffer(pixels, np.uint8).reshape(height, width, 3), stamp_ns)

    def close(self) -> None:
        """Let go of the file."""
        if self._memory is not None:
            self._memory.close()
        if self._file is not None:
            self._file.close()
        self._memory = self._file = None

    @staticmethod
    def _count(memory: mmap.mmap) -> int:
        return _HEADER.unpack_from(memory)[3]

    def _fail(self, sentence: str) -> NoReturn:
        self.close()
        raise CameraError(sentence.format(self._path)) from None


@contextlib.contextmanager
def _locked(file: IO[bytes], how: int) -> Iterator[None]:
    """Keep an image from being read while it is written; the lock of a process that dies is lifted by the system."""
    fcntl.flock(file, how)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
