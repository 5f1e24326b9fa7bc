"""What the SO-101 looks like, as boxes and cylinders: the bodies of the URDF, drawn and used for collisions.

All positions are in the link's own frame (see model.py), in m. The jaws' inner faces are where they are on the
arm, so that the jaws of the drawing meet as the real ones do; the other bodies are simplified covers of the
printed parts and the servos.
"""

from dataclasses import dataclass

from prana_ros.so101.model import Vector

PRINTED = "printed"
SERVO = "servo"

COLORS: dict[str, tuple[float, float, float, float]] = {
    PRINTED: (0.95, 0.72, 0.18, 1.0),
    SERVO: (0.12, 0.12, 0.13, 1.0),
}
"""Red, green, blue and opacity, 0 … 1, by material."""


@dataclass(frozen=True)
class Box:
    """A box along the axes of its link's frame: its center and its whole edge lengths."""

    center: Vector
    size: Vector
    material: str = PRINTED


@dataclass(frozen=True)
class Cylinder:
    """A cylinder between the centers of its two ends."""

    start: Vector
    end: Vector
    radius: float
    material: str = PRINTED


def _jaw_segment(low: float, high: float, inner: float, width: float, outwards: int) -> Box:
    """A piece of a jaw, 6 mm thick, between two heights, with its inner face at x = ``inner``."""
    thickness = 0.006
    return Box(
        (inner + outwards * thickness / 2, 0.0, (low + high) / 2), (thickness, width, high - low), material=PRINTED
    )


SHAPES: dict[str, tuple[Box | Cylinder, ...]] = {
    "base": (
        Box((0.010, 0.0, 0.006), (0.100, 0.080, 0.012)),
        Box((0.020, 0.0, 0.033), (0.070, 0.060, 0.042)),
        Cylinder((0.0388, 0.0, 0.054), (0.0388, 0.0, 0.0604), 0.018, SERVO),
    ),
    "shoulder": (
        Box((0.005, 0.0, 0.014), (0.050, 0.050, 0.028)),
        Box((0.0304, 0.0, 0.0500), (0.036, 0.046, 0.046), SERVO),
    ),
    "upper_arm": (
        Cylinder((0.0, -0.029, 0.0), (0.0, 0.029, 0.0), 0.014),
        Cylinder((0.0, 0.0, 0.026), (0.0280, 0.0, 0.1126), 0.015),
        Box((0.0230, 0.0, 0.0980), (0.036, 0.046, 0.046), SERVO),
    ),
    "lower_arm": (
        Cylinder((0.0, -0.029, 0.0), (0.0, 0.029, 0.0), 0.014),
        Cylinder((0.026, 0.0, 0.0010), (0.1349, 0.0, 0.0052), 0.014),
        Box((0.1180, 0.0, 0.0046), (0.046, 0.046, 0.036), SERVO),
    ),
    "wrist": (
        Cylinder((0.0, -0.029, 0.0), (0.0, 0.029, 0.0), 0.013),
        Box((0.0380, 0.004, 0.0), (0.044, 0.040, 0.032), SERVO),
    ),
    "gripper": (
        Box((0.0, 0.0, -0.020), (0.040, 0.036, 0.040)),
        Box((0.016, 0.0, -0.020), (0.030, 0.046, 0.030), SERVO),
        _jaw_segment(-0.0660, -0.0380, -0.0133, 0.020, outwards=-1),
        _jaw_segment(-0.0820, -0.0660, -0.0116, 0.016, outwards=-1),
        _jaw_segment(-0.0980, -0.0820, -0.0099, 0.012, outwards=-1),
        _jaw_segment(-0.1045, -0.0980, -0.0079, 0.008, outwards=-1),
    ),
    "jaw": (
        Cylinder((0.0, -0.026, 0.0), (0.0, 0.026, 0.0), 0.010),
        _jaw_segment(-0.0350, 0.0, -0.0083, 0.018, outwards=1),
        _jaw_segment(-0.0600, -0.0350, -0.0103, 0.014, outwards=1),
        _jaw_segment(-0.0820, -0.0600, -0.0123, 0.008, outwards=1),
    ),
}
"""Bodies by link name."""
