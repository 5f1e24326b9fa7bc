"""The topics of one camera, a real or a simulated one: image_raw, camera_info, and JPEG while somebody subscribes."""

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from prana_ros.cameras.intrinsics import Intrinsics
from prana_ros.messages.camera_info import camera_info_msg
from prana_ros.messages.standard import image_to_msg
from prana_ros.nodes import qos
from prana_ros.nodes.lifecycle import PranaNode

JPEG_QUALITY = 90


class CameraPublisher:
    """Publishes images and intrinsics with the same stamp; JPEG only while somebody subscribes to it."""

    def __init__(self, node: PranaNode, topics: str, intrinsics: Intrinsics, frame_id: str) -> None:
        """Create the publishers of ``node``.

        Args:
            node: the node; its lifecycle state switches the publishers.
            topics: what the topics begin with, ``~`` or the camera's name.
            intrinsics: of the camera.
            frame_id: the camera's optical frame.
        """
        self._intrinsics, self._frame_id = intrinsics, frame_id
        self._images = node.create_lifecycle_publisher(Image, f"{topics}/image_raw", qos.IMAGE_PUB)
        compressed = f"{topics}/image_raw/compressed"
        self._compressed = node.create_lifecycle_publisher(CompressedImage, compressed, qos.IMAGE_PUB)
        self._infos = node.create_lifecycle_publisher(CameraInfo, f"{topics}/camera_info", qos.LATCHED)

    def publish(self, image: np.ndarray, stamp_ns: int) -> None:
        """Publish an image (height, width, 3) uint8, RGB, taken at ``stamp_ns``."""
        self._images.publish(image_to_msg(image, "rgb8", stamp_ns, self._frame_id))
        info = camera_info_msg(self._intrinsics, stamp_ns, self._frame_id)
        self._infos.publish(info)
        if self._compressed.get_subscription_count():
            self._compressed.publish(
                CompressedImage(header=info.header, format="rgb8; jpeg compressed bgr8", data=_jpeg(image))
            )


def _jpeg(image: np.ndarray) -> bytes:
    """JPEG of an image (height, width, 3) uint8, RGB."""
    blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()
