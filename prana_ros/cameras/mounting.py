"""Where a camera is mounted: its frames in the tree of the robot's frames (REP 103).

    parent ──> NAME_link ──> NAME_optical_frame

``NAME_link`` has x forward, y left, z up; the optical frame, in which images are given, z forward, x right, y down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

LINK_TO_OPTICAL = Rotation.from_matrix([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Turns a vector of the optical frame into one of the camera's link."""


@dataclass(frozen=True)
class FrameTransform:
    """The pose of the frame ``child`` in the frame ``parent``: position (3,) in m and rotation."""

    parent: str
    child: str
    position: tuple[float, float, float]
    rotation: Rotation


@dataclass(frozen=True)
class Mounting:
    """The pose of a camera's link in a link of the robot: position (3,) in m and rotation."""

    parent: str
    position: tuple[float, float, float]
    rotation: Rotation


def mounting_from_parameters(parent: str, position: Sequence[float], rpy: Sequence[float]) -> Mounting | None:
    """Return the mounting that a camera's parameters describe; ``None`` if ``parent`` is empty: it is not known.

    Args:
        parent: a link of the robot, without the arm's prefix.
        position: (3,) m.
        rpy: (3,) rad, roll, pitch and yaw as in URDF: about the parent's fixed x, y and z axes.

    Raises:
        ValueError: one sentence.
    """
    if not parent:
        return None
    for name, values in (("position", position), ("rotation", rpy)):
        if len(values) != 3 or not np.isfinite(values).all():
            raise ValueError(f"parameter '{name}' is {list(values)}, but must be three finite numbers")
    x, y, z = (float(value) for value in position)
    return Mounting(parent, (x, y, z), Rotation.from_euler("xyz", rpy))


def camera_frames(camera: str, mounting: Mounting | None, prefix: str, optical_frame: str) -> list[FrameTransform]:
    """Return the transforms of one camera; without a mounting only that from its link to its optical frame.

    Args:
        camera: its name.
        mounting: where it is.
        prefix: of the arm's frames.
        optical_frame: name of the frame that the images carry.
    """
    link = f"{prefix}{camera}_link"
    frames = [FrameTransform(link, optical_frame, (0.0, 0.0, 0.0), LINK_TO_OPTICAL)]
    if mounting is not None:
        frames.insert(0, FrameTransform(f"{prefix}{mounting.parent}", link, mounting.position, mounting.rotation))
    return frames


def optical_frame_of(camera: str, prefix: str) -> str:
    """Return the name of a camera's optical frame."""
    return f"{prefix}{camera}_optical_frame"
