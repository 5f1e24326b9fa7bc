"""The file camera as LeRobot makes and uses it."""

import contextlib
import time

import draccus
import lerobot_policy_prana  # noqa: F401 (registers the camera, as in LeRobot's commands)
import numpy as np
import pytest
from lerobot.cameras import CameraConfig, make_cameras_from_configs
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError
from PIL import Image

from prana_ros.cameras.config_lerobot_camera import PranaFileCameraConfig
from prana_ros.cameras.lerobot_camera import PranaFileCamera
from prana_ros.cameras.shared_frames import SharedFrameWriter
from prana_ros.cameras.source import CameraError


def camera(path, **settings) -> PranaFileCamera:
    """As LeRobot makes it of what stands on its command line."""
    values = {"type": "prana_file", "path": str(path), "fps": 50, "width": 16, "height": 12, **settings}
    config = draccus.decode(CameraConfig, values)
    made = make_cameras_from_configs({"table": config})["table"]
    assert isinstance(made, PranaFileCamera)
    return made


@pytest.fixture
def folder(tmp_path):
    for number in range(1, 10):
        Image.fromarray(np.full((24, 32, 3), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_a_folder_plays_at_the_size_and_rate_asked_for(folder):
    with camera(folder) as table:
        start = time.monotonic()
        levels = [int(table.read()[0, 0, 0]) for _ in range(12)]
        assert time.monotonic() - start > 11 / 50
        assert table.read().shape == (12, 16, 3)
        assert set(levels) <= {20 * number for number in range(1, 10)}
        assert len(set(levels)) > 4
    assert not table.is_connected
    assert (table.width, table.height, table.fps) == (16, 12, 50)


def test_async_read_gives_each_image_once_and_read_latest_at_once(folder):
    with camera(folder, fps=2) as table:
        first = table.read()
        with pytest.raises(TimeoutError, match=r"No image came from .* within 50 ms"):
            table.async_read(timeout_ms=50)
        np.testing.assert_array_equal(table.read_latest(), first)
        assert (table.async_read(timeout_ms=2000) != first).all()
        with pytest.raises(TimeoutError, match=r"ms old; allowed are 0 ms"):
            table.read_latest(max_age_ms=0)


def test_connecting_is_checked_as_in_lerobots_cameras(folder):
    table = camera(folder)
    for use in (table.read, table.async_read, table.read_latest, table.disconnect):
        with pytest.raises(DeviceNotConnectedError):
            use()
    table.connect()
    with pytest.raises(DeviceAlreadyConnectedError):
        table.connect()
    table.disconnect()
    table.connect()
    assert table.read().shape == (12, 16, 3)
    table.disconnect()


def test_an_image_that_disappears_is_said_by_every_read(folder):
    table = camera(folder)
    table.connect()
    for file in folder.iterdir():
        file.unlink()
    end = time.monotonic() + 30
    with contextlib.suppress(CameraError):
        while time.monotonic() < end:  # the images that were read before
            table.read()
    for use in (table.read, table.async_read, table.read_latest):
        with pytest.raises(CameraError, match="cannot be read"):
            use()
    table.disconnect()


def test_what_cannot_be_a_camera_is_refused(folder):
    table = camera(folder / "none.png")
    with pytest.raises(ConnectionError, match=r"There is no file .*none\.png"):
        table.connect()
    assert not table.is_connected
    with pytest.raises(ValueError, match=r"fps of the camera of .* must be at least 1, got 0"):
        PranaFileCameraConfig(path=folder, fps=0)
    with pytest.raises(ValueError, match=r"width of the camera of .* must be at least 1, got -1"):
        PranaFileCameraConfig(path=folder, fps=30, width=-1)


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (-90, (-1, 0))])
def test_images_are_turned_clockwise_as_lerobots_cameras_turn_them(tmp_path, rotation, corner):
    image = np.zeros((12, 16, 3), np.uint8)
    image[:4, :4] = 255
    Image.fromarray(image).save(tmp_path / "bright_corner.png")
    width, height = (12, 16) if rotation in (90, -90) else (16, 12)
    with camera(tmp_path / "bright_corner.png", rotation=rotation, width=width, height=height) as table:
        turned = table.read()
        assert turned.shape == (height, width, 3)
        assert (table.width, table.height) == (width, height)
    assert (turned[corner] == 255).all()
    assert turned.sum() == image.sum()


PROGRAM = """
import sys
from pathlib import Path
from prana_ros.cameras.config_lerobot_camera import PranaFileCameraConfig
from prana_ros.cameras.lerobot_camera import PranaFileCamera
configs = [PranaFileCameraConfig(path=Path(path), fps=1000, width=1500, height=1000) for path in sys.argv[1:]]
cameras = [PranaFileCamera(config) for config in configs]
for camera in cameras:
    camera.connect()
print(sum(camera.read().shape[2] for camera in cameras), "channels", flush=True)
"""


def test_a_program_that_forgets_to_disconnect_ends_cleanly(processes, tmp_path):
    """Enlarging takes all the time: without an end of its threads the program is aborted while OpenCV works."""
    Image.fromarray(np.zeros((480, 640, 3), np.uint8)).save(tmp_path / "1.png")
    process = processes.python("-c", PROGRAM, *[tmp_path / "1.png"] * 4)
    process.must_end(0, within=90.0)
    assert "12 channels" in process.output


def test_the_twins_images_are_shown_as_they_come(tmp_path):
    writer = SharedFrameWriter(tmp_path / "arm.frames", 16, 12)
    table = camera(tmp_path / "arm.frames")
    table.connect(warmup=False)
    with pytest.raises(TimeoutError, match="No image came"):
        table.read_latest()
    writer.write(np.full((12, 16, 3), 77, np.uint8), time.monotonic_ns())
    assert (table.async_read(timeout_ms=2000) == 77).all()
    table.disconnect()
    writer.close()
