"""Messages to numpy and back: the only place that knows both."""

import array
import sys
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from prana_ros.so101.trajectory import Trajectory, TrajectoryError

_NANOSECONDS = 1_000_000_000

# Encoding (sensor_msgs/image_encodings) to channels and pixel type.
_ENCODINGS: dict[str, tuple[int, type[np.unsignedinteger]]] = {
    "rgb8": (3, np.uint8),
    "bgr8": (3, np.uint8),
    "mono8": (1, np.uint8),
    "16UC1": (1, np.uint16),
}


def stamp_from_ns(time_ns: int) -> Time:
    """Return the stamp of a time in nanoseconds; 0 to 2³¹ s.

    Raises:
        ValueError: the time does not fit into a stamp.
    """
    seconds, nanoseconds = divmod(int(time_ns), _NANOSECONDS)
    if not 0 <= seconds < 2**31:
        raise ValueError(f"the time {time_ns} ns does not fit into a ROS stamp, which goes from 0 to 2^31 s")
    return Time(sec=seconds, nanosec=nanoseconds)


def ns_from_stamp(stamp: Time | Duration) -> int:
    """Return a stamp or duration in nanoseconds."""
    return stamp.sec * _NANOSECONDS + stamp.nanosec


def s_from_stamp(stamp: Time | Duration) -> float:
    """Return a stamp or duration in seconds; of a time of today to a quarter of a microsecond."""
    return 1e-9 * ns_from_stamp(stamp)


def duration_from_s(seconds: float) -> Duration:
    """Return a duration in seconds, rounded to whole nanoseconds, as a message."""
    whole, nanoseconds = divmod(round(seconds * _NANOSECONDS), _NANOSECONDS)
    return Duration(sec=whole, nanosec=nanoseconds)


def image_to_msg(image: np.ndarray, encoding: str, stamp_ns: int, frame_id: str) -> Image:
    """Return the message of an image.

    Args:
        image: (H, W, 3) uint8 for rgb8 and bgr8, (H, W) uint8 for mono8, (H, W) uint16 for 16UC1; need not be
            contiguous.
        encoding: rgb8, bgr8, mono8 or 16UC1.
        stamp_ns: time of capture.
        frame_id: the camera's optical frame.

    Raises:
        ValueError: unknown encoding, or an image that does not fit it.
    """
    channels, dtype = _layout(encoding)
    shape = image.shape if channels > 1 else (*image.shape, 1)
    if len(shape) != 3 or shape[2] != channels or image.dtype != dtype:
        raise ValueError(f"an image of shape {image.shape} and type {image.dtype} cannot be encoded as {encoding}")
    # array.array is what the message stores: it takes it over without looking at each element, as it would an ndarray's
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(image)).cast("B"))
    return Image(
        header=Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id),
        height=shape[0],
        width=shape[1],
        encoding=encoding,
        is_bigendian=sys.byteorder == "big",
        step=shape[1] * channels * np.dtype(dtype).itemsize,
        data=data,
    )


def image_from_msg(msg: Image) -> np.ndarray:
    """Return the image of a message in the message's own encoding, without copying where the layout allows.

    Returns:
        (H, W, 3) uint8 for rgb8 and bgr8, (H, W) uint8 for mono8, (H, W) uint16 in this machine's byte order for 16UC1.
        Row padding (`step`) is cut off.

    Raises:
        ValueError: unknown encoding, or less data than the size needs.
    """
    channels, dtype = _layout(msg.encoding)
    pixel = np.dtype(dtype).newbyteorder(">" if msg.is_bigendian else "<")
    row = msg.width * channels * pixel.itemsize
    step = msg.step or row
    if step < row or len(msg.data) < step * msg.height:
        raise ValueError(
            f"an image message of {msg.width}x{msg.height} {msg.encoding} with step {msg.step} "
            f"needs rows of {row} bytes and {step * msg.height} bytes in all, but has {len(msg.data)}"
        )
    rows = np.frombuffer(msg.data, np.uint8, step * msg.height).reshape(msg.height, step)[:, :row]
    if pixel.itemsize > 1:
        rows = np.ascontiguousarray(rows).view(pixel).astype(dtype, copy=False)
    return rows.reshape(msg.height, msg.width, channels) if channels > 1 else rows


def rgb_from_msg(msg: Image) -> np.ndarray:
    """Return the colors (H, W, 3) uint8, RGB, of an rgb8, bgr8 or mono8 message.

    Raises:
        ValueError: another encoding, or less data than the size needs.
    """
    if msg.encoding not in ("rgb8", "bgr8", "mono8"):
        raise ValueError(f"an image of encoding '{msg.encoding}' has no colors; allowed are rgb8, bgr8, mono8")
    image = image_from_msg(msg)
    if msg.encoding == "mono8":
        return np.repeat(image[:, :, None], 3, axis=2)
    return image[:, :, ::-1] if msg.encoding == "bgr8" else image


def joint_state_to_msg(
    names: Sequence[str],
    position: np.ndarray,
    velocity: np.ndarray | None,
    effort: np.ndarray | None,
    stamp_ns: int,
) -> JointState:
    """Return a joint state; position in rad, velocity in rad/s, all of shape (J,), None leaves a field empty."""
    return JointState(
        header=Header(stamp=stamp_from_ns(stamp_ns)),
        name=list(names),
        position=_doubles(position),
        velocity=_doubles(velocity),
        effort=_doubles(effort),
    )


def trajectory_to_msg(trajectory: Trajectory) -> JointTrajectory:
    """Return the message of a trajectory: the owner in `header.frame_id`, the start in `header.stamp`."""
    points = [
        JointTrajectoryPoint(
            positions=_doubles(position),
            velocities=_doubles(None if trajectory.velocities is None else trajectory.velocities[i]),
            time_from_start=duration_from_s(float(trajectory.times_s[i])),
        )
        for i, position in enumerate(np.asarray(trajectory.positions))
    ]
    header = Header(stamp=stamp_from_ns(trajectory.start_ns), frame_id=trajectory.owner)
    return JointTrajectory(header=header, joint_names=list(trajectory.joint_names), points=points)


def trajectory_from_msg(msg: JointTrajectory) -> Trajectory:
    """Return the trajectory of a message; whether it may be played is for `so101.trajectory.validate` to say.

    Accelerations and efforts are ignored, velocities are kept only where every point has them.

    Raises:
        TrajectoryError: points whose number of positions or velocities is not the number of joints.
    """
    joints = len(msg.joint_names)
    for i, point in enumerate(msg.points):
        _check_length("positions", point.positions, i, joints)
        if point.velocities:
            _check_length("velocities", point.velocities, i, joints)
    has_velocities = bool(msg.points) and all(point.velocities for point in msg.points)
    return Trajectory(
        owner=msg.header.frame_id,
        start_ns=ns_from_stamp(msg.header.stamp),
        joint_names=tuple(msg.joint_names),
        times_s=np.array([ns_from_stamp(p.time_from_start) / _NANOSECONDS for p in msg.points], dtype=np.float64),
        positions=_table([p.positions for p in msg.points], joints),
        velocities=_table([p.velocities for p in msg.points], joints) if has_velocities else None,
    )


def _check_length(what: str, values: Sequence[float], point: int, joints: int) -> None:
    if len(values) != joints:
        raise TrajectoryError(
            f"Point {point} of the trajectory has {len(values)} {what}; its {joints} joints need {joints}."
        )


def _table(rows: list[Sequence[float]], columns: int) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(len(rows), columns)


def _doubles(values: np.ndarray | None) -> array.array:
    return array.array("d", () if values is None else np.asarray(values, dtype=np.float64).tolist())


def _layout(encoding: str) -> tuple[int, type[np.unsignedinteger]]:
    if encoding not in _ENCODINGS:
        raise ValueError(f"the image encoding '{encoding}' is not supported; supported are {', '.join(_ENCODINGS)}")
    return _ENCODINGS[encoding]
