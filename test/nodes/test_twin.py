"""The twin node as a process of its own, watched over DDS; its arm driven by LeRobot."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String
from support.lerobot_arms import motors_bus
from support.tf import needs_tf
from visualization_msgs.msg import MarkerArray

from prana_msgs.srv import ResetScene
from prana_ros.messages.standard import image_from_msg, ns_from_stamp
from prana_ros.nodes import qos
from prana_ros.simulation.scene import HARD, STANDARD, sample_scene
from prana_ros.simulation.world import World

pytestmark = pytest.mark.usefixtures("measures_time")

MODULE = "prana_ros.nodes.twin"
FPS = 10
PARAMETERS = {"camera_width": 64, "camera_height": 48, "camera_fps": FPS}


@pytest.fixture
def link(tmp_path):
    return tmp_path / "arm"


@contextmanager
def driving(bus):
    """Read the arm again and again, as a driver does."""
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            bus.sync_read("Present_Position")

    thread = threading.Thread(target=read)
    thread.start()
    yield
    ended.set()
    thread.join()


def start_twin(processes, ros, link: Path, **parameters):
    process = processes.node(MODULE, {"link": link, **PARAMETERS, **parameters})
    assert ros.change_state("/twin", "configure"), process.output
    assert ros.change_state("/twin", "activate"), process.output
    return process


def stamps(messages) -> list[int]:
    return [ns_from_stamp(message.header.stamp) for message in messages]


def grid_points(times_ns: list[int]) -> list[int]:
    """Numbers of the grid points that the stamps are; fails if one is beside the grid."""
    numbers = [-(-stamp * FPS // 10**9) for stamp in times_ns]
    assert [number * 10**9 // FPS for number in numbers] == times_ns
    return numbers


def test_images_come_on_the_grid_of_the_systems_clock_with_their_camera_info(processes, ros, link):
    images = {camera: ros.collect(f"/{camera}/image_raw", Image, qos.IMAGE_PUB) for camera in ("table", "wrist")}
    infos = ros.collect("/wrist/camera_info", CameraInfo, qos.IMAGE_PUB)
    began = time.time_ns()
    start_twin(processes, ros, link)
    for collector in images.values():
        received = list(collector.wait(8))
        numbers = grid_points(stamps(received))
        assert (np.diff(numbers) >= 1).all()
        assert began < received[0].header.stamp.sec * 10**9 + 10**9
        assert stamps(received)[-1] < time.time_ns()
        assert image_from_msg(received[0]).shape == (48, 64, 3)
        assert image_from_msg(received[0]).std() > 5, "something is seen"
    assert {message.header.frame_id for message in images["wrist"].messages} == {"wrist_optical_frame"}
    assert set(stamps(infos.wait(4))[:4]) <= set(stamps(images["wrist"].messages))
    info = infos.messages[0]
    assert (info.width, info.height) == (64, 48)
    assert info.k[0] == pytest.approx(24 / np.tan(np.radians(62 / 2)), rel=1e-6)
    assert not ros.node.get_publishers_info_by_topic("/clock")


def test_jpeg_is_made_for_those_who_ask(processes, ros, link):
    compressed = ros.collect("/table/image_raw/compressed", CompressedImage, qos.IMAGE_PUB)
    start_twin(processes, ros, link)
    assert bytes(compressed.wait(1)[0].data[:2]) == b"\xff\xd8"


def test_below_real_time_the_clock_is_simulated_and_so_are_the_stamps(processes, ros, link):
    clock = ros.collect("/clock", Clock, qos.CLOCK)
    images = ros.collect("/table/image_raw", Image, qos.IMAGE_PUB)
    start_twin(processes, ros, link, real_time_factor=0.5)
    assert (np.diff(grid_points(stamps(images.wait(6)))) >= 1).all()
    times = [ns_from_stamp(message.clock) for message in clock.wait(100)]
    assert (np.diff(times) > 0).all()
    # 200 Hz at least, in simulated time; a subscriber of a best-effort clock may miss one.
    assert np.median(np.diff(times)) <= 5_000_000
    assert stamps(images.messages)[-1] <= times[-1] + 10**9
    assert times[-1] < 10**12, "simulated time begins at 0"


def test_a_reset_lays_out_the_scene_of_the_seed(processes, ros, link):
    markers = ros.collect("/twin/markers", MarkerArray, qos.LATCHED)
    start_twin(processes, ros, link, seed=4)
    answer = ros.call("/twin/reset_scene", ResetScene, ResetScene.Request(seed=77))
    assert answer.success
    assert "was put to rest" in answer.message
    scene = sample_scene(STANDARD, 77)

    def shows_it(message: MarkerArray) -> bool:
        position = message.markers[0].pose.position
        return float(np.hypot(position.x - scene.tool_position[0], position.y - scene.tool_position[1])) < 0.005

    accepted = markers.wait_for(shows_it)
    assert {marker.header.frame_id for marker in accepted.markers} == {"base_link"}
    floor = accepted.markers[2]
    assert (floor.pose.position.x, floor.pose.position.y) == pytest.approx(scene.box_position, abs=1e-6)


def test_the_twin_tells_how_it_runs_on_diagnostics(processes, ros, link):
    diagnostics = ros.collect("/diagnostics", DiagnosticArray, qos.DIAGNOSTICS)
    start_twin(processes, ros, link)
    (line,) = diagnostics.wait()[-1].status
    values = {pair.key: pair.value for pair in line.values}
    assert (line.name, line.hardware_id, line.message) == ("/twin", str(link), "runs")
    assert float(values["simulated time (s)"]) > 0.0


@needs_tf
def test_the_twin_publishes_where_its_cameras_are_in_each_scene(processes, ros, link):
    from tf2_msgs.msg import TFMessage

    start_twin(processes, ros, link, frame_prefix="left/", scene="hard")
    published = ros.collect("/tf_static", TFMessage, qos.LATCHED)
    (message,) = published.wait()
    assert [(t.header.frame_id, t.child_frame_id) for t in message.transforms] == [
        ("left/base_link", "left/table_link"),
        ("left/table_link", "left/table_optical_frame"),
        ("left/gripper", "left/wrist_link"),
        ("left/wrist_link", "left/wrist_optical_frame"),
    ]
    assert ros.call("/twin/reset_scene", ResetScene, ResetScene.Request(seed=8)).success
    before, after = published.wait(2)[:2]
    with World(sample_scene(HARD, 8)) as world:
        position = world.camera_mounting("table").position
    moved = after.transforms[0].transform.translation
    assert (moved.x, moved.y, moved.z) == pytest.approx(position)
    assert before.transforms[0] != after.transforms[0], "hard scenes move the table camera"


def test_markers_are_where_the_tools_ends_are():
    """Handle and shaft meet: the markers' frames against the body's own axis."""
    from builtin_interfaces.msg import Time
    from scipy.spatial.transform import Rotation

    from prana_ros.messages.object_markers import object_markers
    from prana_ros.simulation.scene import TOOL_BACK, TOOL_TIP

    world = World(sample_scene(STANDARD, 11))
    position, quaternion = world.object_poses()["tool"]
    axis = Rotation.from_quat(quaternion, scalar_first=True).apply([1.0, 0.0, 0.0])
    ends = []
    for marker in object_markers(world, Time(), "left/").markers[:2]:
        pose = marker.pose
        center = np.array([pose.position.x, pose.position.y, pose.position.z])
        q = pose.orientation
        along = Rotation.from_quat([q.x, q.y, q.z, q.w]).apply([0.0, 0.0, marker.scale.z / 2])
        ends += [center - along, center + along]
    reach = [(end - position) @ axis for end in ends]
    assert reach == pytest.approx([TOOL_BACK, -TOOL_BACK, -TOOL_BACK, TOOL_TIP], abs=1e-6)
    assert np.abs(np.cross(np.array(ends) - position, axis)).max() < 1e-6


def test_the_outcome_is_published_on_change_and_begins_anew_with_a_reset(processes, ros, link):
    outcomes = ros.collect("/twin/outcome", String, qos.LATCHED)
    process = processes.python(
        str(Path(__file__).with_name("twin_with_known_outcome.py")), "--ros-args", "-p", f"link:='{link}'"
    )
    assert ros.change_state("/twin", "configure"), process.output
    assert ros.change_state("/twin", "activate"), process.output
    assert outcomes.wait(1)[0].data == "missed"
    ros.call("/twin/reset_scene", ResetScene, ResetScene.Request(seed=1))
    outcomes.wait_for(lambda message: message.data == "success")
    before = len(outcomes.messages)
    ros.call("/twin/reset_scene", ResetScene, ResetScene.Request(seed=2))
    assert outcomes.wait(before + 1)[-1].data == "missed"


def test_a_reset_under_torque_leaves_the_arm_alone_and_the_arm_outlives_deactivation(processes, ros, link):
    start_twin(processes, ros, link)
    bus = motors_bus(link)
    bus.connect()
    bus.sync_write("Goal_Position", bus.sync_read("Present_Position"))
    bus.enable_torque()
    answer = ros.call("/twin/reset_scene", ResetScene, ResetScene.Request(seed=5))
    assert answer.success
    assert "stays where it is" in answer.message
    assert ros.change_state("/twin", "deactivate")
    bus.write("Goal_Position", "wrist_roll", 30.0)
    end = time.monotonic() + 30.0
    while abs(bus.sync_read("Present_Position")["wrist_roll"] - 30.0) > 1.0:
        assert time.monotonic() < end
    assert ros.change_state("/twin", "activate")
    bus.disconnect()


def test_a_node_that_is_shut_down_takes_its_port_with_it(processes, ros, link):
    process = start_twin(processes, ros, link)
    assert link.is_symlink()
    process.send(signal.SIGINT)
    process.must_end(0)
    assert not os.path.lexists(link)
    assert "Traceback" not in process.output


def test_a_killed_twin_is_replaced_at_the_same_link(processes, ros, link):
    process = start_twin(processes, ros, link)
    old = os.readlink(link)
    process.send(signal.SIGKILL)
    process.wait()
    assert os.readlink(link) == old
    process = processes.node(MODULE, {"link": link, **PARAMETERS}, "-r", "__node:=second")
    assert ros.change_state("/second", "configure"), process.output
    bus = motors_bus(link)
    bus.connect()
    bus.disconnect()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"link": ""}, "parameter 'link' is empty"),
        ({"link": "/proc/none/arm"}, "There is no folder /proc/none"),
        ({"scene": "outdoors"}, "parameter 'scene' is 'outdoors', but must be one of 'standard', 'hard'"),
        ({"real_time_factor": 0.0}, "parameter 'real_time_factor' is 0.0"),
        ({"camera_fps": 0}, "parameter 'camera_fps' is 0"),
        ({"seed": -1}, "parameter 'seed' is -1"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(processes, ros, link, parameters, sentence):
    process = processes.node(MODULE, {"link": link, **PARAMETERS, **parameters})
    assert not ros.change_state("/twin", "configure")
    process.wait_for(sentence.replace("(", r"\("))
    assert "Traceback" not in process.output
    assert not os.path.lexists(link)


def test_a_twin_whose_arm_a_driver_holds_is_not_cleaned_up(processes, ros, link):
    twin = start_twin(processes, ros, link)
    assert ros.change_state("/twin", "deactivate")
    bus = motors_bus(link)
    bus.connect()
    with driving(bus):
        assert not ros.change_state("/twin", "cleanup")
        assert ros.state("/twin") == "inactive"
        assert f"a driver is connected to the arm at {link}; clean up or stop it first" in twin.output
    bus.disconnect()
    assert ros.change_state("/twin", "cleanup")
