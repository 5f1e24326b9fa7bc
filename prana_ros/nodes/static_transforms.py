"""Static transforms on ``/tf_static``, where this machine has the message of TF."""

from collections.abc import Iterable

from prana_ros.cameras.mounting import FrameTransform
from prana_ros.messages.transforms import transform_to_msg
from prana_ros.nodes import qos
from prana_ros.nodes.lifecycle import PranaNode

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # ROS 2 as wheels has no tf2_msgs
    TFMessage = None


def publish_static_transforms(node: PranaNode, transforms: Iterable[FrameTransform]) -> None:
    """Publish the transforms of ``node``, for as long as it is configured; each call replaces those of an earlier one.

    Without ``tf2_msgs`` nothing is published, and the node's log says so.
    """
    if TFMessage is None:
        node.get_logger().info("no static transforms: there is no package tf2_msgs, which comes with a ROS 2 machine")
        return
    # Not a lifecycle publisher: where a camera is does not depend on whether it delivers images.
    publisher = node.create_publisher(TFMessage, "/tf_static", qos.LATCHED)
    publisher.publish(TFMessage(transforms=[transform_to_msg(t, node.now_ns()) for t in transforms]))
