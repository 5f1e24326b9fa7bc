"""Camera node: the ROS shell around a frame source.

Named after the camera (``table``, ``wrist``), it publishes ``~/image_raw`` (rgb8), ``~/camera_info`` with the same
stamp, and ``~/image_raw/compressed`` (JPEG) while somebody subscribes to it. Stamps are times of capture.
"""

import sys
import threading
import time
import traceback

from diagnostic_msgs.msg import DiagnosticStatus

from prana_ros.cameras.file import FileSource
from prana_ros.cameras.intrinsics import Intrinsics, IntrinsicsError, read_intrinsics, uncalibrated
from prana_ros.cameras.mounting import Mounting, camera_frames, mounting_from_parameters, optical_frame_of
from prana_ros.cameras.source import CameraError, Frame, FrameSource
from prana_ros.messages.camera_info import path_of_url
from prana_ros.messages.diagnostics import ERROR, OK, status_to_msg
from prana_ros.nodes.camera_publisher import CameraPublisher
from prana_ros.nodes.diagnostics import DIAGNOSTICS_PERIOD, publish_diagnostics
from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.parameters import declare
from prana_ros.nodes.run_node import run_node
from prana_ros.nodes.static_transforms import StaticTransforms

RETRY_PERIOD = 1.0
"""Seconds between attempts to open a camera that stopped delivering."""


class CameraNode(PranaNode):
    """Publishes what a frame source delivers."""

    def __init__(self) -> None:
        super().__init__("camera")
        declare(self, "source", "file", "What delivers the frames.", choices=("file",))
        declare(self, "path", "", "Image, folder of images or video that the file source plays over and over.")
        declare(self, "width", 0, "Width of the images in pixels; 0 takes the source's.", range=(0, 7680))
        declare(self, "height", 0, "Height of the images in pixels; 0 takes the source's.", range=(0, 4320))
        declare(self, "fps", 30.0, "Frames a second.", range=(1.0, 240.0))
        declare(self, "frame_id", "", "Optical frame of the images; empty for frame_prefix and NAME_optical_frame.")
        declare(self, "frame_prefix", "", "What the names of the arm's frames begin with, such as left/.")
        declare(self, "parent_frame", "", "The robot's link that the camera is mounted on; empty if that is not known.")
        declare(self, "position", [0.0, 0.0, 0.0], "Of NAME_link in parent_frame: x, y, z in m.")
        declare(self, "rotation", [0.0, 0.0, 0.0], "Of NAME_link in parent_frame: roll, pitch, yaw in rad, as in URDF.")
        declare(self, "camera_info_url", "", "Calibration: file:///…, package://PACKAGE/… or a path; empty for none.")
        self._source: FrameSource | None = None
        self._frames = self._frames_before = 0
        self._complaint = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def configure(self) -> None:
        """Open the source and the calibration; refuse what cannot be played."""
        if not self.value("path"):
            raise CameraError("path is empty; name an image, a folder of images or a video.")
        source = FileSource(self.value("path"), self.value("fps"), self.value("width"), self.value("height"))
        source.open()
        self._source = source
        self._intrinsics = self._read_intrinsics(*source.size)
        prefix, name = self.value("frame_prefix"), self.get_name()
        optical_frame = self.value("frame_id") or optical_frame_of(name, prefix)
        self._camera = CameraPublisher(self, "~", self._intrinsics, optical_frame)
        publish_diagnostics(self, self._diagnose)
        StaticTransforms(self).publish(camera_frames(name, self._mounting(), prefix, optical_frame))

    def activate(self) -> None:
        """Start the capture thread."""
        assert self._source is not None
        self._stopping.clear()
        self._thread = threading.Thread(target=self._capture, args=(self._source,), name="capture", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop the capture thread after its current frame."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def cleanup(self) -> None:
        """Close the source."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _mounting(self) -> Mounting | None:
        return mounting_from_parameters(self.value("parent_frame"), self.value("position"), self.value("rotation"))

    def _read_intrinsics(self, width: int, height: int) -> Intrinsics:
        url = self.value("camera_info_url")
        if not url:
            return uncalibrated(width, height)
        intrinsics = read_intrinsics(path_of_url(url))
        if (intrinsics.width, intrinsics.height) != (width, height):
            raise IntrinsicsError(
                f"The camera calibration {url} is for images of {intrinsics.width}x{intrinsics.height}, "
                f"but this camera's are {width}x{height}."
            )
        return intrinsics

    def _capture(self, source: FrameSource) -> None:
        """Thread: publish frames until told to stop; a defect ends the node, which would be silent otherwise."""
        try:
            self._publish_all(source)
        except Exception as error:
            self.get_logger().fatal(f"the camera has failed: {error!r}\n{traceback.format_exc()}")
            self.finish(1)

    def _publish_all(self, source: FrameSource) -> None:
        """Publish frame after frame until told to stop; open the camera again when it fails."""
        while not self._stopping.is_set():
            try:
                frame = source.read()
            except CameraError as error:
                self._complaint = str(error)
                self.get_logger().error(f"{error} Trying to open the camera again every {RETRY_PERIOD:g} s.")
                self._reopen(source)
                continue
            self._publish(frame)

    def _reopen(self, source: FrameSource) -> None:
        source.close()
        while not self._stopping.wait(RETRY_PERIOD):
            try:
                source.open()
            except CameraError:
                continue
            if source.size != (self._intrinsics.width, self._intrinsics.height):
                self.get_logger().warning(f"The camera came back with images of another size, {source.size}.")
                source.close()
                continue
            self._complaint = ""
            self.get_logger().info("The camera delivers frames again.")
            return

    def _publish(self, frame: Frame) -> None:
        # The node's clock may be simulated; read between two readings of the frame's, so that a pause does no harm.
        before, now_ns, after = time.monotonic_ns(), self.now_ns(), time.monotonic_ns()
        stamp_ns = now_ns - ((before + after) // 2 - frame.stamp_ns)
        if stamp_ns <= 0:
            return  # simulated time has not begun: there is no stamp for this frame yet
        self._camera.publish(frame.image, stamp_ns)
        self._frames += 1

    def _diagnose(self) -> list[DiagnosticStatus]:
        if not self.is_active:
            return []
        rate = (self._frames - self._frames_before) / DIAGNOSTICS_PERIOD
        self._frames_before = self._frames
        size = f"{self._intrinsics.width}x{self._intrinsics.height}"
        values = (("images per second", f"{rate:.1f}"), ("images published", self._frames), ("size", size))
        message, level = (self._complaint, ERROR) if self._complaint else ("delivers images", OK)
        return [status_to_msg(self.get_fully_qualified_name(), message, values, level, self.value("path"))]


def main() -> int:
    """Run the node until it is stopped."""
    return run_node(CameraNode)


if __name__ == "__main__":
    sys.exit(main())
