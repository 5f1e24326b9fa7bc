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


class StaticTransforms:
    """The static transforms of one node, for as long as it is configured.

    Without ``tf2_msgs`` nothing is published, and the node's log says so.
    """

    def __init__(self, node: PranaNode) -> None:
        self._node = node
        self._publisher = None
        if TFMessage is None:
            node.get_logger().info(
                "no static transforms: there is no package tf2_msgs, which comes with a ROS 2 machine"
            )
            return
        # Not a lifecycle publisher: where a camera is does not depend on whether it delivers images.
        self._publisher = node.create_publisher(TFMessage, "/tf_static", qos.LATCHED)

    def publish(self, transforms: Iterable[FrameTransform]) -> None:
        """Publish all transforms of the node, in place of those before."""
        if self._publisher is not None:
            now_ns = self._node.now_ns()
            self._publisher.publish(TFMessage(transforms=[transform_to_msg(each, now_ns) for each in transforms]))
