import sys

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from prana_ros.messages.standard import (
    duration_from_s,
    image_from_msg,
    image_to_msg,
    joint_state_to_msg,
    ns_from_stamp,
    rgb_from_msg,
    stamp_from_ns,
    trajectory_from_msg,
    trajectory_to_msg,
)
from prana_ros.so101.trajectory import Trajectory, TrajectoryError

ENCODINGS = {"rgb8": (np.uint8, (3,)), "bgr8": (np.uint8, (3,)), "mono8": (np.uint8, ()), "16UC1": (np.uint16, ())}


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


@st.composite
def encoded_images(draw):
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    dtype, channels = ENCODINGS[encoding]
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return encoding, draw(hnp.arrays(dtype, (height, width, *channels)))


@given(encoded_images(), st.integers(0, 2**31 * 10**9 - 1))
def test_an_image_survives_the_wire(encoded, stamp_ns):
    encoding, image = encoded
    message = over_the_wire(image_to_msg(image, encoding, stamp_ns, "lens"))
    np.testing.assert_array_equal(image_from_msg(message), image)
    assert (message.height, message.width, message.header.frame_id) == (*image.shape[:2], "lens")
    assert ns_from_stamp(message.header.stamp) == stamp_ns


@given(encoded_images(), st.integers(1, 7), st.booleans())
def test_row_padding_and_byte_order_are_respected(encoded, padding, big_endian):
    encoding, image = encoded
    rows = [row.astype(row.dtype.newbyteorder(">" if big_endian else "<")).tobytes() for row in image]
    message = Image(
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        is_bigendian=big_endian,
        step=len(rows[0]) + padding,
        data=b"".join(row + b"\xab" * padding for row in rows),
    )
    decoded = image_from_msg(message)
    np.testing.assert_array_equal(decoded, image)
    assert decoded.dtype == image.dtype


def test_an_image_need_not_be_contiguous():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)[::-1, ::2]
    np.testing.assert_array_equal(image_from_msg(image_to_msg(image, "rgb8", 0, "")), image)


def test_a_decoded_byte_image_is_a_view_of_the_message():
    message = image_to_msg(np.zeros((2, 2, 3), np.uint8), "rgb8", 0, "")
    image = image_from_msg(message)
    message.data[0] = 7
    assert image[0, 0, 0] == 7


def test_colors_come_red_first_from_every_color_encoding():
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 200
    assert rgb_from_msg(image_to_msg(red, "rgb8", 0, "")).tolist() == [[[200, 0, 0]]]
    assert rgb_from_msg(image_to_msg(red[..., ::-1], "bgr8", 0, "")).tolist() == [[[200, 0, 0]]]
    assert rgb_from_msg(image_to_msg(red[..., 0], "mono8", 0, "")).tolist() == [[[200, 200, 200]]]
    with pytest.raises(ValueError, match="'16UC1' has no colors"):
        rgb_from_msg(image_to_msg(np.zeros((1, 1), np.uint16), "16UC1", 0, ""))


@pytest.mark.parametrize(
    ("image", "encoding", "sentence"),
    [
        (np.zeros((2, 2, 3), np.uint8), "yuyv", "'yuyv' is not supported; supported are rgb8"),
        (np.zeros((2, 2, 3), np.float32), "rgb8", "float32 cannot be encoded as rgb8"),
        (np.zeros((2, 2), np.uint8), "rgb8", r"shape \(2, 2\)"),
        (np.zeros((2, 2, 3), np.uint8), "mono8", r"shape \(2, 2, 3\)"),
        (np.zeros((2, 2), np.uint8), "16UC1", "uint8 cannot be encoded as 16UC1"),
    ],
)
def test_an_image_that_does_not_fit_its_encoding_is_refused(image, encoding, sentence):
    with pytest.raises(ValueError, match=sentence):
        image_to_msg(image, encoding, 0, "")


@pytest.mark.parametrize("damage", [{"height": 3}, {"width": 3}, {"step": 5}, {"step": 7}, {"encoding": "rgb16"}])
def test_a_malformed_image_message_is_refused(damage):
    message = image_to_msg(np.zeros((2, 2, 3), np.uint8), "rgb8", 0, "")
    for field, value in damage.items():
        setattr(message, field, value)
    with pytest.raises(ValueError, match=r"needs rows|not supported"):
        image_from_msg(message)


def test_images_agree_with_cv_bridge():
    bridge = pytest.importorskip("cv_bridge").CvBridge()
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(image_to_msg(image, "rgb8", 0, "")), image)
    np.testing.assert_array_equal(image_from_msg(bridge.cv2_to_imgmsg(image, "rgb8")), image)


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_keep_every_nanosecond(time_ns):
    stamp = stamp_from_ns(time_ns)
    assert ns_from_stamp(stamp) == time_ns
    assert 0 <= stamp.nanosec < 10**9


@pytest.mark.parametrize("time_ns", [-1, 2**31 * 10**9])
def test_a_time_that_is_no_stamp_is_refused(time_ns):
    with pytest.raises(ValueError, match=f"{time_ns} ns does not fit"):
        stamp_from_ns(time_ns)


def test_durations_are_rounded_not_cut():
    assert ns_from_stamp(duration_from_s(0.1 + 0.2)) == 300_000_000
    assert ns_from_stamp(duration_from_s(0.9999999999)) == 10**9


def test_a_joint_state_carries_what_it_is_given():
    message = over_the_wire(joint_state_to_msg(["a", "b"], np.array([1.0, 2.0], np.float32), None, np.zeros(2), 5))
    assert isinstance(message, JointState)
    assert (message.name, list(message.position), list(message.velocity)) == (["a", "b"], [1.0, 2.0], [])
    assert list(message.effort) == [0.0, 0.0]
    assert message.header.stamp == Time(nanosec=5)


@st.composite
def trajectories(draw):
    points, joints = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    numbers = hnp.arrays(np.float64, (points, joints), elements=st.floats(-10, 10))
    steps_ns = draw(st.lists(st.integers(1, 10**10), min_size=points, max_size=points))
    return Trajectory(
        owner=draw(st.sampled_from(["", "policy"])),
        start_ns=draw(st.integers(0, 2**31 * 10**9 - 1)),
        joint_names=tuple(f"joint_{i}" for i in range(joints)),
        times_s=np.cumsum(steps_ns) / 1e9,
        positions=draw(numbers),
        velocities=draw(st.none() | numbers),
    )


@given(trajectories())
def test_a_trajectory_survives_the_wire(trajectory):
    received = trajectory_from_msg(over_the_wire(trajectory_to_msg(trajectory)))
    assert (received.owner, received.start_ns) == (trajectory.owner, trajectory.start_ns)
    assert tuple(received.joint_names) == trajectory.joint_names
    np.testing.assert_array_equal(received.positions, trajectory.positions)
    np.testing.assert_array_equal(received.point_times_ns(0), trajectory.point_times_ns(0))
    if trajectory.velocities is None:
        assert received.velocities is None
    else:
        np.testing.assert_array_equal(received.velocities, trajectory.velocities)


def test_velocities_of_some_points_only_are_not_used():
    points = [JointTrajectoryPoint(positions=[0.0], velocities=[1.0]), JointTrajectoryPoint(positions=[1.0])]
    assert trajectory_from_msg(JointTrajectory(joint_names=["a"], points=points)).velocities is None


def test_a_point_with_another_number_of_joints_is_refused():
    points = [JointTrajectoryPoint(positions=[0.0, 1.0]), JointTrajectoryPoint(positions=[0.0])]
    with pytest.raises(TrajectoryError, match="Point 1 of the trajectory has 1 positions; its 2 joints need 2"):
        trajectory_from_msg(JointTrajectory(joint_names=["a", "b"], points=points))


def test_an_empty_trajectory_reaches_the_validation():
    received = trajectory_from_msg(JointTrajectory(joint_names=["a"]))
    assert received.positions.shape == (0, 1)


def test_the_wire_stores_this_machines_byte_order():
    message = image_to_msg(np.array([[0x0102]], np.uint16), "16UC1", 0, "")
    assert bool(message.is_bigendian) == (sys.byteorder == "big")
