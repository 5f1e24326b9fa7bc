"""The camera node as a process of its own, watched over DDS."""

import io
import itertools
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from PIL import Image as PillowImage
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from support.tf import HAS_TF, needs_tf

from prana_ros.messages.standard import image_from_msg, ns_from_stamp, stamp_from_ns
from prana_ros.nodes import qos

pytestmark = pytest.mark.usefixtures("measures_time")

MODULE = "prana_ros.nodes.camera"
LEVELS = [0, 50, 100, 150, 200, 250]


@pytest.fixture
def folder(tmp_path):
    """Images 40 x 30 whose red tells which one it is; green and blue are noise."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, level in enumerate(LEVELS):
        image = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        image[:, :, 0] = level
        PillowImage.fromarray(image).save(folder / f"{number}.png")
    return folder


def start_camera(processes, ros, *ros_args, configure=True, **parameters):
    """Start the camera `table`; configured and activated unless the test does that."""
    process = processes.node(MODULE, {"fps": 20.0, **parameters}, "-r", "__node:=table", *ros_args)
    if configure:
        assert ros.change_state("/table", "configure"), process.output
        assert ros.change_state("/table", "activate"), process.output
    return process


def stamps(messages) -> list[int]:
    return [ns_from_stamp(message.header.stamp) for message in messages]


def shown(message: Image) -> int:
    return int(image_from_msg(message)[0, 0, 0])


def test_every_image_arrives_in_order_with_its_camera_info(processes, ros, folder):
    images = ros.collect("/table/image_raw", Image, qos.IMAGE_PUB)
    infos = ros.collect("/table/camera_info", CameraInfo, qos.IMAGE_PUB)
    began = time.time_ns()
    start_camera(processes, ros, path=folder)
    received = list(images.wait(2 * len(LEVELS)))
    first = LEVELS.index(shown(received[0]))
    expected = itertools.islice(itertools.cycle(LEVELS), first, first + len(received))
    assert [shown(message) for message in received] == list(expected)

    number = LEVELS.index(shown(received[3]))
    np.testing.assert_array_equal(image_from_msg(received[3]), np.array(PillowImage.open(folder / f"{number}.png")))
    assert (received[3].encoding, received[3].width, received[3].height) == ("rgb8", 40, 30)
    assert {message.header.frame_id for message in received} == {"table_optical_frame"}
    times = stamps(received)
    assert began < times[0]
    assert times[-1] < time.time_ns()
    distances = np.diff(times)
    assert (distances > 0).all()
    assert np.median(distances) == pytest.approx(50e6, rel=0.1), "20 frames a second"

    info = infos.wait_for(lambda info: ns_from_stamp(info.header.stamp) == times[4])
    assert (info.width, info.height, info.header.frame_id) == (40, 30, "table_optical_frame")
    assert info.k[0] == 0, "not calibrated"

    (image_publisher,) = ros.node.get_publishers_info_by_topic("/table/image_raw")
    assert image_publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    (info_publisher,) = ros.node.get_publishers_info_by_topic("/table/camera_info")
    assert info_publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


def test_a_camera_tells_how_it_is_on_diagnostics(processes, ros, folder):
    diagnostics = ros.collect("/diagnostics", DiagnosticArray, qos.DIAGNOSTICS)
    start_camera(processes, ros, path=folder)
    (line,) = diagnostics.wait_for(lambda message: int(values_of(message.status[0])["images published"]) > 20).status
    assert (line.name, line.hardware_id, line.level) == ("/table", str(folder), DiagnosticStatus.OK)
    assert line.message == "delivers images"
    assert float(values_of(line)["images per second"]) == pytest.approx(20.0, abs=5.0)
    shutil.rmtree(folder)
    line = diagnostics.wait_for(lambda message: message.status[0].level == DiagnosticStatus.ERROR).status[0]
    assert str(folder) in line.message


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


MOUNTED = {"frame_prefix": "left/", "parent_frame": "gripper", "position": [0.0, 0.1, 0.2]}


def test_the_frame_of_the_images_has_the_arms_prefix(processes, ros, folder):
    start_camera(processes, ros, path=folder, **MOUNTED)
    image = ros.collect("/table/image_raw", Image, qos.IMAGE_PUB).wait()[0]
    assert image.header.frame_id == "left/table_optical_frame"


@needs_tf
def test_where_a_camera_is_mounted_is_published(processes, ros, folder):
    from tf2_msgs.msg import TFMessage

    start_camera(processes, ros, path=folder, **MOUNTED)
    (message,) = ros.collect("/tf_static", TFMessage, qos.LATCHED).wait()
    assert [(t.header.frame_id, t.child_frame_id) for t in message.transforms] == [
        ("left/gripper", "left/table_link"),
        ("left/table_link", "left/table_optical_frame"),
    ]
    assert message.transforms[0].transform.translation.z == 0.2


@pytest.mark.skipif(HAS_TF, reason="tf2_msgs is installed")
def test_without_tfs_message_a_camera_says_that_it_publishes_no_transforms(processes, ros, folder):
    process = start_camera(processes, ros, path=folder, **MOUNTED)
    process.wait_for("no static transforms: there is no package tf2_msgs")


def test_a_mounting_that_cannot_be_meant_is_refused(processes, ros, folder):
    process = start_camera(processes, ros, configure=False, path=folder, parent_frame="gripper", position=[0.1])
    assert not ros.change_state("/table", "configure")
    process.wait_for(r"cannot configure: parameter 'position' is \[0.1\], but must be three finite numbers")


def test_a_best_effort_subscriber_and_a_compressed_one_see_the_same_images(processes, ros, folder):
    images = ros.collect("/arm/table/image_raw", Image, qos.IMAGE_SUB)
    process = start_camera(processes, ros, "-r", "__ns:=/arm", configure=False, path=folder, width=80, height=60)
    assert ros.change_state("/arm/table", "configure"), process.output
    assert ros.change_state("/arm/table", "activate"), process.output
    compressed = ros.collect("/arm/table/image_raw/compressed", CompressedImage, qos.IMAGE_SUB)
    for message in compressed.wait(3)[:3]:
        assert message.format == "rgb8; jpeg compressed bgr8"
        decoded = np.array(PillowImage.open(io.BytesIO(bytes(message.data))))
        (stamp,) = stamps([message])
        raw = images.wait_for(lambda image, stamp=stamp: ns_from_stamp(image.header.stamp) == stamp)
        assert decoded.shape == (60, 80, 3)
        assert np.abs(decoded[..., 0].mean() - shown(raw)) < 15
        assert np.abs(decoded.astype(int) - image_from_msg(raw)).mean() < 25


def test_states_stop_and_start_the_images(processes, ros, folder):
    images = ros.collect("/table/image_raw", Image, qos.IMAGE_PUB)
    process = start_camera(processes, ros, path=folder)
    images.wait(2)
    assert ros.change_state("/table", "deactivate")
    time.sleep(0.3)
    count = len(images.messages)
    time.sleep(0.5)
    assert len(images.messages) == count
    assert ros.change_state("/table", "activate")
    images.wait(count + 2)
    for transition in ("deactivate", "cleanup"):
        assert ros.change_state("/table", transition)
    assert ros.state("/table") == "unconfigured"
    for transition in ("configure", "activate"):
        assert ros.change_state("/table", transition)
    count = len(images.messages)
    images.wait(count + 2)
    process.send(signal.SIGINT)
    process.must_end(0)
    assert "Traceback" not in process.output


def test_a_calibration_travels_with_the_images(processes, ros, folder, tmp_path):
    matrix = [50.0, 0, 19.5, 0, 51.0, 14.5, 0, 0, 1]
    calibration = {
        "image_width": 40,
        "image_height": 30,
        "distortion_model": "plumb_bob",
        "camera_matrix": {"data": matrix},
        "distortion_coefficients": {"data": [0.1, 0, 0, 0, 0]},
        "rectification_matrix": {"data": np.eye(3).ravel().tolist()},
        "projection_matrix": {"data": np.eye(3, 4).ravel().tolist()},
    }
    file = tmp_path / "table camera.yaml"
    file.write_text(yaml.safe_dump(calibration))
    url = f"file://{str(file).replace(' ', '%20')}"
    start_camera(processes, ros, path=folder, camera_info_url=url, frame_id="lens")
    # Latched: who comes late gets the last one, and more follow.
    info = ros.collect("/table/camera_info", CameraInfo, qos.LATCHED).wait(2)[1]
    assert info.header.frame_id == "lens"
    assert list(info.k) == matrix
    assert list(info.d) == [0.1, 0, 0, 0, 0]
    assert list(info.p) == np.eye(3, 4).ravel().tolist()
    assert info.distortion_model == "plumb_bob"

    calibration["image_width"] = 640
    file.write_text(yaml.safe_dump(calibration))
    for transition in ("deactivate", "cleanup"):
        assert ros.change_state("/table", transition)
    assert not ros.change_state("/table", "configure")


REFUSALS = [
    ({}, "path is empty; name an image, a folder of images or a video"),
    ({"path": "/no/such/file.mp4"}, "There is no file /no/such/file.mp4 to play as a camera"),
    ({"path": "FOLDER", "source": "kinect"}, "parameter 'source' is 'kinect', but must be one of 'file'"),
    ({"path": "FOLDER", "fps": 0.0}, "parameter 'fps' is 0.0, but must be from 1 to 240"),
    ({"path": "FOLDER", "width": -3}, "parameter 'width' is -3, but must be from 0"),
    ({"path": "FOLDER", "camera_info_url": "/no/such.yaml"}, "There is no camera calibration /no/such.yaml"),
    (
        {"path": "FOLDER", "camera_info_url": "http://example.org/a"},
        "camera_info_url is 'http://example.org/a'; it must",
    ),
    ({"path": "FOLDER", "camera_info_url": "package://no_such_package/a"}, "there is no package 'no_such_package'"),
]


@pytest.mark.parametrize(("parameters", "sentence"), REFUSALS)
def test_what_it_cannot_do_is_refused_at_configure(processes, ros, folder, parameters, sentence):
    parameters = {name: str(folder) if value == "FOLDER" else value for name, value in parameters.items()}
    process = start_camera(processes, ros, configure=False, **parameters)
    assert not ros.change_state("/table", "configure")
    process.wait_for(f"cannot configure: .*{sentence}")
    assert ros.state("/table") == "unconfigured"
    assert "Traceback" not in process.output


def test_a_camera_that_fails_is_named_and_comes_back(processes, ros, folder):
    images = ros.collect("/table/image_raw", Image, qos.IMAGE_PUB)
    process = start_camera(processes, ros, path=folder)
    images.wait(1)
    away = folder.with_name("away")
    folder.rename(away)
    process.wait_for(r"\.png cannot be read: .* Trying to open the camera again every 1 s")
    count = len(images.messages)
    assert ros.state("/table") == "active"
    away.rename(folder)
    process.wait_for("The camera delivers frames again")
    images.wait(count + 3)


def test_a_defect_ends_the_camera_instead_of_silencing_it(processes, ros, folder):
    images = ros.collect("/table/image_raw", Image, qos.IMAGE_PUB)
    script = str(Path(__file__).with_name("camera_that_breaks.py"))
    process = processes.python(script, "--ros-args", "-r", "__node:=table", "-p", f"path:='{folder}'")
    assert ros.change_state("/table", "configure"), process.output
    assert ros.change_state("/table", "activate"), process.output
    process.must_end(1)
    assert "the camera has failed: ZeroDivisionError('a defect')" in process.output
    assert len(images.messages) <= 2


def test_a_camera_that_failed_can_still_be_stopped(processes, ros, folder):
    process = start_camera(processes, ros, path=folder)
    folder.rename(folder.with_name("away"))
    process.wait_for("Trying to open the camera again")
    assert ros.change_state("/table", "deactivate")
    process.send(signal.SIGTERM)
    process.must_end(0)


def test_stamps_follow_simulated_time(processes, ros, folder):
    images = ros.collect("/table/image_raw", Image, qos.IMAGE_PUB)
    start_camera(processes, ros, path=folder, use_sim_time=True)
    clock = ros.publisher("/clock", Clock, qos.CLOCK)
    time.sleep(0.5)
    assert not images.messages, "there is no time before the clock runs"
    second = 1_000_000_000
    for tick in range(200):
        clock.publish(Clock(clock=stamp_from_ns(100 * second + tick * second // 100)))
        time.sleep(0.01)
    received = images.wait(3)
    assert all(99 * second < stamp <= 102 * second for stamp in stamps(received))
