"""A camera's intrinsic calibration, and the YAML file in which ROS keeps it (camera_calibration_parsers)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

COEFFICIENTS = {"plumb_bob": (5,), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
"""How many distortion coefficients each model may have."""


class IntrinsicsError(ValueError):
    """A camera calibration is missing or cannot be right; the message is one sentence for the user."""


@dataclass(frozen=True)
class Intrinsics:
    """A camera as sensor_msgs/CameraInfo describes it; matrices row by row, lengths in pixels.

    Attributes:
        width: of the image that was calibrated.
        height: of the image that was calibrated.
        distortion_model: one of ``COEFFICIENTS``.
        distortion: the model's coefficients.
        camera_matrix: K, 3 by 3; all zero where the camera is not calibrated.
        rectification: R, 3 by 3.
        projection: P, 3 by 4.
    """

    width: int
    height: int
    distortion_model: str
    distortion: tuple[float, ...]
    camera_matrix: tuple[float, ...]
    rectification: tuple[float, ...]
    projection: tuple[float, ...]


def uncalibrated(width: int, height: int) -> Intrinsics:
    """An image's size and nothing else: by ROS's convention the zeros say that the camera is not calibrated."""
    return Intrinsics(width, height, "", (), (0.0,) * 9, (0.0,) * 9, (0.0,) * 12)


def pinhole(width: int, height: int, fovy: float) -> Intrinsics:
    """An ideal camera without distortion, such as a rendered one.

    Args:
        width: of the image in pixels.
        height: of the image in pixels.
        fovy: vertical field of view in degrees.
    """
    focal = height / 2.0 / float(np.tan(np.radians(fovy) / 2.0))
    # The middle of the image, where ROS and OpenCV count from the center of the first pixel.
    cx, cy = (width - 1) / 2.0, (height - 1) / 2.0
    matrix = (focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0)
    projection = (focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0)
    return Intrinsics(width, height, "plumb_bob", (0.0,) * 5, matrix, tuple(np.eye(3).ravel().tolist()), projection)


def read_intrinsics(path: str | Path) -> Intrinsics:
    """Read a calibration file as ``camera_calibration`` writes it.

    Raises:
        IntrinsicsError: if the file is missing or is no camera calibration.
    """
    path = Path(path).expanduser()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IntrinsicsError(f"There is no camera calibration {path}.") from None
    except OSError as error:
        raise IntrinsicsError(f"The camera calibration {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise IntrinsicsError(f"The camera calibration {path} is not YAML.") from None
    if not isinstance(content, dict):
        raise IntrinsicsError(f"The camera calibration {path} is no mapping of names to values.")
    try:
        return _intrinsics_from(content)
    except IntrinsicsError as error:
        raise IntrinsicsError(f"The camera calibration {path} cannot be used: {error}") from None


def _intrinsics_from(content: dict[str, Any]) -> Intrinsics:
    model = content.get("distortion_model")
    if model not in COEFFICIENTS:
        raise IntrinsicsError(f"distortion_model is {model!r}; it must be one of {', '.join(COEFFICIENTS)}.")
    return Intrinsics(
        width=_pixels(content, "image_width"),
        height=_pixels(content, "image_height"),
        distortion_model=model,
        distortion=_matrix(content, "distortion_coefficients", COEFFICIENTS[model]),
        camera_matrix=_matrix(content, "camera_matrix", (9,)),
        rectification=_matrix(content, "rectification_matrix", (9,)),
        projection=_matrix(content, "projection_matrix", (12,)),
    )


def _pixels(content: dict[str, Any], name: str) -> int:
    value = content.get(name)
    if type(value) is not int or value <= 0:
        raise IntrinsicsError(f"{name} is {value!r}; it must be a whole number of pixels above 0.")
    return value


def _matrix(content: dict[str, Any], name: str, lengths: tuple[int, ...]) -> tuple[float, ...]:
    entry = content.get(name)
    data = entry.get("data") if isinstance(entry, dict) else None
    try:
        values = tuple(float(value) for value in data or ())
    except (TypeError, ValueError):
        values = ()
    if len(values) not in lengths or not np.isfinite(values).all():
        allowed = " or ".join(map(str, lengths))
        raise IntrinsicsError(f"{name} has data {data!r}; it needs {allowed} numbers.")
    return values
