"""Images from one process to another: nothing torn, nothing old, and what goes wrong."""

import errno
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from prana_ros.cameras import shared_frames
from prana_ros.cameras.shared_frames import SharedFrameSource, SharedFrameWriter
from prana_ros.cameras.source import CameraError

WIDTH, HEIGHT = 320, 240

# Writes one-colored images as fast as it can; the stamp says which color.
WRITE_FOR_EVER = """
import sys
from pathlib import Path
import numpy as np
from prana_ros.cameras.shared_frames import SharedFrameWriter
writer = SharedFrameWriter(Path(sys.argv[1]), 320, 240)
print("ready", flush=True)
stamp = 0
while True:
    stamp += 1
    writer.write(np.full((240, 320, 3), stamp % 251, np.uint8), stamp)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arm_table.frames"


def gray(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def opened(path, **size) -> SharedFrameSource:
    source = SharedFrameSource(path, **size)
    source.open()
    return source


def test_an_image_comes_with_its_stamp_and_only_once(path, monkeypatch):
    monkeypatch.setattr(shared_frames, "TIMEOUT", 0.05)
    writer = SharedFrameWriter(path, WIDTH, HEIGHT)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    writer.write(gray(7), 5)
    source = opened(path, width=WIDTH, height=HEIGHT)
    assert source.size == (WIDTH, HEIGHT)
    with pytest.raises(CameraError, match=r"No image came from .*arm_table.frames for 0.05 s"):
        source.read()  # the one that was there before is old
    writer.write(image, 1234)
    frame = source.read()
    assert frame.stamp_ns == 1234
    np.testing.assert_array_equal(frame.image, image)
    writer.write(gray(9), 1235)
    np.testing.assert_array_equal(frame.image, image)
    assert source.read().stamp_ns == 1235
    with pytest.raises(CameraError, match="has its writer ended"):
        source.read()
    source.close()
    writer.close()
    assert not os.listdir(path.parent)


def test_no_image_is_torn_while_another_process_writes(path):
    with subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout.readline() == b"ready\n"
            source = opened(path)
            last = 0
            for _ in range(300):
                frame = source.read()
                assert (frame.image == frame.stamp_ns % 251).all()
                assert frame.stamp_ns > last
                last = frame.stamp_ns
        finally:
            writer.kill()


def test_a_writer_that_was_replaced_leaves_the_file_to_the_next(path):
    first = SharedFrameWriter(path, WIDTH, HEIGHT)
    second = SharedFrameWriter(path, WIDTH, HEIGHT)
    first.close()
    source = opened(path)
    second.write(gray(3), 1)
    assert (source.read().image == 3).all()
    second.close()
    assert not path.exists()


def test_a_file_that_has_no_room_is_refused_at_once_and_leaves_nothing(path, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(OSError, match="No space left"):
        SharedFrameWriter(path, WIDTH, HEIGHT)
    assert not os.listdir(path.parent)


def test_a_writer_takes_only_its_own_size(path):
    writer = SharedFrameWriter(path, WIDTH, HEIGHT)
    with pytest.raises(ValueError, match=r"shape \(320, 240, 3\); it must have \(240, 320, 3\)"):
        writer.write(gray(0).transpose(1, 0, 2), 0)
    writer.close()


def refusal(path, **size) -> str:
    with pytest.raises(CameraError) as error:
        opened(path, **size)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100, struct.pack("<8sIIQq", b"PRANAFR1", 9, 9, 0, 0)])
def test_a_file_that_holds_something_else_is_refused(path, content):
    path.write_bytes(content)
    assert "shared frames" in refusal(path)


def test_a_missing_file_or_another_size_is_refused(path):
    assert "is the twin running, with --camera-fps?" in refusal(path)
    writer = SharedFrameWriter(path, WIDTH, HEIGHT)
    assert "are 320 x 240; asked for were 640 x any" in refusal(path, width=640)
    writer.close()
    with pytest.raises(CameraError, match="is not open"):
        SharedFrameSource(path).read()
