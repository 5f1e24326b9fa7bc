"""Registers the file camera with LeRobot, which finds the class beside: ``config_x`` configures what ``x`` holds."""

from dataclasses import dataclass
from pathlib import Path

from lerobot.cameras.configs import CameraConfig, Cv2Rotation


@CameraConfig.register_subclass("prana_file")
@dataclass(kw_only=True)
class PranaFileCameraConfig(CameraConfig):
    """A camera that plays a file, or shows the images of a running twin.

    Attributes:
        path: an image, a folder of images or a video, played over and over; or a ``.frames`` file of
            ``prana twin --camera-fps``, whose images are shown as they come.
        fps: images a second; those of a ``.frames`` file come at the twin's own rate.
        width, height: in pixels, after the rotation. Files are scaled to it; a ``.frames`` file must have it.
        rotation: by which the images are turned, clockwise: 0, 90, 180 or -90.
    """

    path: Path
    rotation: Cv2Rotation = Cv2Rotation.NO_ROTATION

    def __post_init__(self) -> None:
        if self.fps is None or self.fps < 1:
            raise ValueError(f"fps of the camera of {self.path} must be at least 1, got {self.fps}")
        for name in ("width", "height"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} of the camera of {self.path} must be at least 1, got {value}")
