"""The policy's inputs: images and joint states go from their topics into an ``ObservationBuffer``."""

from collections.abc import Callable, Iterable, Mapping

from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from prana_ros.inference.observations import JOINT_STATES, ObservationBuffer
from prana_ros.messages.standard import ns_from_stamp, rgb_from_msg
from prana_ros.nodes import qos

BufferInUse = Callable[[], ObservationBuffer | None]


def input_topics(node: Node, cameras: Iterable[str]) -> dict[str, str]:
    """The full name of each input's topic, as the node's namespace and remappings make it."""
    topics = {camera: f"{camera}/image_raw" for camera in cameras} | {JOINT_STATES: "joint_states"}
    return {name: node.resolve_topic_name(topic) for name, topic in topics.items()}


def subscribe_inputs(node: Node, topics: Mapping[str, str], buffer_in_use: BufferInUse) -> None:
    """Store what comes on the topics in the buffer that is in use when it comes, if there is one."""
    for name, topic in topics.items():
        if name == JOINT_STATES:
            node.create_subscription(JointState, topic, _joints_into(buffer_in_use), qos.JOINT_STATE_SUB)
        else:
            node.create_subscription(Image, topic, _images_into(buffer_in_use, name), qos.IMAGE_SUB)


def _images_into(buffer_in_use: BufferInUse, camera: str) -> Callable[[Image], None]:
    def take(msg: Image) -> None:
        buffer = buffer_in_use()
        if buffer is None:
            return
        try:
            buffer.add_image(camera, ns_from_stamp(msg.header.stamp), rgb_from_msg(msg))
        except ValueError as error:
            buffer.report_fault(camera, f"Input {camera!r} cannot be used: {error}.")

    return take


def _joints_into(buffer_in_use: BufferInUse) -> Callable[[JointState], None]:
    def take(msg: JointState) -> None:
        if (buffer := buffer_in_use()) is not None:
            buffer.add_joint_state(ns_from_stamp(msg.header.stamp), msg.name, msg.position)

    return take
