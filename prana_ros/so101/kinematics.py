"""Forward kinematics, Jacobian, limits and jaw opening of the SO-101, from the table in model.py.

Every function takes joint angles in rad, in the order of ``JOINT_NAMES``, and any number of leading batch
dimensions. Rotations about a joint follow Rodrigues' formula, R = I + sin(q) K + (1 - cos(q)) K², with K the
cross-product matrix of the joint's axis; the Jacobian is the geometric one (Siciliano et al., Robotics:
Modelling, Planning and Control, §3.1).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prana_ros.so101.model import GRIPPER_ROTATION, JAW_GAP, JOINTS, TOOL_CENTER_POINT

Array = NDArray[np.float64]

ARM_JOINTS = 5
"""The first five joints move the tool center point; the sixth, ``gripper``, only moves the jaw."""


def forward(q: ArrayLike) -> Array:
    """Pose of ``gripper_frame`` (the tool center point) in the base frame.

    Args:
        q: joint angles (..., 6) in rad; (..., 5) will do, since the gripper's angle does not move the frame.

    Returns:
        Homogeneous transforms base ← gripper_frame (..., 4, 4), in meters.

    Raises:
        ValueError: if the last dimension is neither 5 nor 6.
    """
    return _chain(_angles(q, ARM_JOINTS))[-1] @ _TOOL


def link_frames(q: ArrayLike) -> dict[str, Array]:
    """Pose of every link's frame, and of ``gripper_frame``, in the base frame.

    Args:
        q: joint angles (..., 6) in rad.

    Returns:
        Homogeneous transforms base ← link (..., 4, 4) by link name: base, shoulder, upper_arm, lower_arm,
        wrist, gripper, jaw, gripper_frame.

    Raises:
        ValueError: if the last dimension is not 6.
    """
    angles = _angles(q, len(JOINTS))
    poses = _chain(angles)
    frames = {"base": np.broadcast_to(np.eye(4), poses[0].shape).copy()}
    frames |= {joint.child: pose for joint, pose in zip(JOINTS, poses, strict=True)}
    frames["gripper_frame"] = frames["gripper"] @ _TOOL
    return frames


def jacobian(q: ArrayLike) -> Array:
    """Geometric Jacobian of the tool center point, in the base frame.

    Args:
        q: joint angles (..., 6) in rad; (..., 5) will do.

    Returns:
        (..., 6, 5): rows are linear velocity (m/s) over angular velocity (rad/s), columns the five arm joints.

    Raises:
        ValueError: if the last dimension is neither 5 nor 6.
    """
    poses = _chain(_angles(q, ARM_JOINTS))
    tip = (poses[-1] @ _TOOL)[..., None, :3, 3]
    joints = np.stack(poses, axis=-3)
    directions = (joints[..., :3, :3] @ JOINT_AXES[:ARM_JOINTS, :, None])[..., 0]
    linear = np.cross(directions, tip - joints[..., :3, 3])
    return np.swapaxes(np.concatenate([linear, directions], axis=-1), -1, -2)


def jaw_gap(angle: ArrayLike) -> Array:
    """Gap between the jaw tips in m for gripper angles in rad, interpolated between the measured values.

    Outside the gripper's range the value at the end of the range is returned.
    """
    degrees, gaps = np.array(JAW_GAP).T
    return np.interp(np.degrees(angle), degrees, gaps)


def position_limits() -> tuple[Array, Array]:
    """Lower and upper joint limits of the URDF, two arrays (6,) in rad."""
    return np.array([joint.lower for joint in JOINTS]), np.array([joint.upper for joint in JOINTS])


def zero_pose_frames() -> dict[str, Array]:
    """Transform base ← link (4, 4) of each joint's child link at the zero pose, by link name."""
    base_from_gripper = np.eye(4)
    base_from_gripper[:3, :3] = GRIPPER_ROTATION
    frames = {}
    for joint in JOINTS:
        origin = _translation(joint.origin)
        if joint.child == "gripper":
            base_from_gripper = origin @ base_from_gripper
            frames[joint.child] = base_from_gripper
        elif joint.parent == "gripper":
            frames[joint.child] = base_from_gripper @ origin
        else:
            frames[joint.child] = origin
    return frames


def _translation(offset: ArrayLike) -> Array:
    transform = np.eye(4)
    transform[:3, 3] = offset
    return transform


def _cross_matrix(axis: Array) -> Array:
    x, y, z = axis
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _zero_offsets() -> Array:
    """Transforms parent ← child at the zero pose (6, 4, 4), in the order of the joints."""
    frames = {"base": np.eye(4)} | zero_pose_frames()
    return np.stack([np.linalg.inv(frames[joint.parent]) @ frames[joint.child] for joint in JOINTS])


def _local_axes() -> Array:
    """Each joint's axis (6, 3) in its child's frame: the roll joint's is given in the base frame and must be turned."""
    frames = zero_pose_frames()
    axes = [np.array(joint.axis) for joint in JOINTS]
    return np.stack(
        [
            axis if joint.parent == "gripper" else frames[joint.child][:3, :3].T @ axis
            for joint, axis in zip(JOINTS, axes, strict=True)
        ]
    )


JOINT_OFFSETS = _zero_offsets()
"""Transform parent link ← child link (6, 4, 4) of each joint at angle 0."""
JOINT_AXES = _local_axes()
"""Axis (6, 3) of each joint in its child link's frame."""

_CROSS = np.stack([_cross_matrix(axis) for axis in JOINT_AXES])
_CROSS_SQUARED = _CROSS @ _CROSS
_TOOL = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
"""gripper ← gripper_frame: half a turn about y."""
_TOOL[:3, 3] = TOOL_CENTER_POINT


def _angles(q: ArrayLike, needed: int) -> Array:
    """The first ``needed`` joint angles of ``q`` as a float array (..., needed)."""
    angles = np.asarray(q, dtype=np.float64)
    if angles.ndim == 0 or angles.shape[-1] not in {needed, len(JOINTS)}:
        allowed = " or ".join(str(size) for size in sorted({needed, len(JOINTS)}))
        raise ValueError(f"Joint angles have shape {angles.shape}; their last dimension must be {allowed}.")
    return angles[..., :needed]


def _chain(angles: Array) -> list[Array]:
    """Transforms base ← child link (..., 4, 4) of the first joints, as many as ``angles`` (..., n) has."""
    count = angles.shape[-1]
    sine, cosine = np.sin(angles)[..., None, None], np.cos(angles)[..., None, None]
    turns = np.zeros((*angles.shape, 4, 4))
    turns[..., :3, :3] = np.eye(3) + sine * _CROSS[:count] + (1.0 - cosine) * _CROSS_SQUARED[:count]
    turns[..., 3, 3] = 1.0
    steps = JOINT_OFFSETS[:count] @ turns
    poses = [steps[..., 0, :, :]]
    for index in range(1, count):
        poses.append(poses[-1] @ steps[..., index, :, :])
    return poses
