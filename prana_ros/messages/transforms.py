"""Transforms between frames as messages."""

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from prana_ros.cameras.mounting import FrameTransform
from prana_ros.messages.standard import stamp_from_ns


def transform_to_msg(transform: FrameTransform, stamp_ns: int) -> TransformStamped:
    """Return the message of a transform; for a static one the stamp says nothing."""
    x, y, z = transform.position
    i, j, k, w = transform.rotation.as_quat().tolist()
    return TransformStamped(
        header=Header(stamp=stamp_from_ns(stamp_ns), frame_id=transform.parent),
        child_frame_id=transform.child,
        transform=Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=i, y=j, z=k, w=w)),
    )
