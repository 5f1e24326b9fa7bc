"""Camera frames against REP 103, and those of the twin against where its cameras are."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from prana_ros.cameras.mounting import camera_frames, mounting_from_parameters, optical_frame_of
from prana_ros.simulation.scene import STANDARD, sample_scene
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.urdf import robot_description

angles = st.floats(-3.1, 3.1)


def test_the_optical_frame_looks_forward_with_x_to_the_right_and_y_down():
    (frame,) = camera_frames("table", None, "left/", "left/table_optical_frame")
    assert (frame.parent, frame.child) == ("left/table_link", "left/table_optical_frame")
    for optical, link in (((0, 0, 1), (1, 0, 0)), ((1, 0, 0), (0, -1, 0)), ((0, 1, 0), (0, 0, -1))):
        np.testing.assert_allclose(frame.rotation.apply(optical), link, atol=1e-12)
    # The quaternion that every camera driver writes: roll -90°, yaw -90°.
    np.testing.assert_allclose(np.abs(frame.rotation.as_quat()), 0.5)


@given(angles, angles, angles)
def test_roll_pitch_and_yaw_are_those_of_urdf(roll, pitch, yaw):
    mounting = mounting_from_parameters("base_link", [1.0, 2.0, 3.0], [roll, pitch, yaw])
    about = {
        "x": np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]]),
        "y": np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]]),
        "z": np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]),
    }
    np.testing.assert_allclose(mounting.rotation.as_matrix(), about["z"] @ about["y"] @ about["x"], atol=1e-9)


def test_a_camera_hangs_on_its_parent_with_the_arms_prefix():
    mounting = mounting_from_parameters("gripper", [0.0, 0.0, 0.1], [0.0, 0.0, 0.0])
    frames = camera_frames("wrist", mounting, "left_", optical_frame_of("wrist", "left_"))
    assert [(f.parent, f.child) for f in frames] == [
        ("left_gripper", "left_wrist_link"),
        ("left_wrist_link", "left_wrist_optical_frame"),
    ]
    assert mounting_from_parameters("", [], []) is None


@pytest.mark.parametrize(
    ("position", "rotation", "sentence"),
    [
        ([0.0, 0.0], [0.0] * 3, "parameter 'position' is [0.0, 0.0], but must be three finite numbers"),
        ([0.0] * 3, [0.0, float("inf"), 0.0], "parameter 'rotation' is [0.0, inf, 0.0], but must be three"),
    ],
)
def test_a_mounting_that_cannot_be_meant_is_refused(position, rotation, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        mounting_from_parameters("base_link", position, rotation)


def link_poses(joints: dict[str, float]) -> dict[str, np.ndarray]:
    """Poses (4, 4) of the links in base_link, from the text of the URDF alone."""
    robot = ElementTree.fromstring(robot_description())
    poses = {"base_link": np.eye(4)}
    waiting = list(robot.iter("joint"))
    while waiting:
        joint = waiting.pop(0)
        parent = joint.find("parent").get("link")
        if parent not in poses:
            waiting.append(joint)
            continue
        origin = joint.find("origin")
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("xyz", [float(v) for v in origin.get("rpy").split()]).as_matrix()
        pose[:3, 3] = [float(v) for v in origin.get("xyz").split()]
        if joint.get("type") == "revolute":
            axis = np.array([float(v) for v in joint.find("axis").get("xyz").split()])
            turn = np.eye(4)
            turn[:3, :3] = Rotation.from_rotvec(axis * joints[joint.get("name")]).as_matrix()
            pose = pose @ turn
        poses[joint.find("child").get("link")] = poses[parent] @ pose
    return poses


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_twins_cameras_are_where_their_frames_say(camera):
    """A point in front of the camera, through the URDF and the frames, lies where MuJoCo's camera sees it."""
    from prana_ros.so101.model import JOINT_NAMES

    with World(sample_scene(STANDARD, 0)) as world:
        world.goal = np.array([0.4, -0.8, 0.9, 0.3, -0.5, 0.6])
        world.step(500)
        pose = link_poses(dict(zip(JOINT_NAMES, world.position.tolist(), strict=True)))
        for frame in camera_frames(camera, world.camera_mounting(camera), "", optical_frame_of(camera, "")):
            step = np.eye(4)
            step[:3, :3], step[:3, 3] = frame.rotation.as_matrix(), frame.position
            pose[frame.child] = pose[frame.parent] @ step
        optical = pose[optical_frame_of(camera, "")]
        seen = world._data.camera(camera)
        np.testing.assert_allclose(optical[:3, 3], seen.xpos, atol=1e-5)
        right, up, backwards = seen.xmat.reshape(3, 3).T
        np.testing.assert_allclose(optical[:3, :3].T, [right, -up, -backwards], atol=1e-5)
