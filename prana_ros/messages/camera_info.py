"""From a camera's intrinsics to its sensor_msgs/CameraInfo, and from a camera_info_url to the file it means."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ament_index_python.packages import get_package_share_directory
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from prana_ros import resources
from prana_ros.cameras.intrinsics import Intrinsics
from prana_ros.messages.standard import stamp_from_ns


def camera_info_msg(intrinsics: Intrinsics, stamp_ns: int, frame_id: str) -> CameraInfo:
    """The message that goes with the image of the same stamp; ``frame_id`` is the camera's optical frame."""
    return CameraInfo(
        header=Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id),
        width=intrinsics.width,
        height=intrinsics.height,
        distortion_model=intrinsics.distortion_model,
        d=intrinsics.distortion,
        k=intrinsics.camera_matrix,
        r=intrinsics.rectification,
        p=intrinsics.projection,
    )


def path_of_url(url: str) -> Path:
    """The file that a ``camera_info_url`` names: ``file:///…``, ``package://PACKAGE/…`` or a plain path.

    Raises:
        ValueError: if the URL is of another kind, or its package is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "":
        return Path(url).expanduser()
    if parts.scheme == "file" and not parts.netloc:
        return Path(unquote(parts.path))
    if parts.scheme == "package" and parts.netloc:
        inside = unquote(parts.path).lstrip("/")
        if parts.netloc == "prana_ros":
            return resources.packaged(inside)
        try:
            return Path(get_package_share_directory(parts.netloc)) / inside
        except (LookupError, OSError):  # not in the index, or no index here (ROS 2 as wheels)
            raise ValueError(f"camera_info_url is '{url}', but there is no package '{parts.netloc}'.") from None
    raise ValueError(f"camera_info_url is '{url}'; it must be file:///…, package://PACKAGE/… or a path.")
