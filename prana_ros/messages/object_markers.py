"""The twin's objects as markers for RViz."""

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from scipy.spatial.transform import Rotation
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from prana_ros.simulation.scene import BOX_HEIGHT, BOX_INNER, BOX_WALL, TOOL_BACK, TOOL_RADIUS, TOOL_TIP, Color
from prana_ros.simulation.world import World
from prana_ros.so101.urdf import ROOT_LINK

_SHAFT_RADIUS = 0.003
_STEEL: Color = (0.72, 0.74, 0.77)
_Z_TO_X = Rotation.from_euler("y", 90, degrees=True)
Part = tuple[int, tuple[float, float, float], tuple[float, float, float], bool]
"""Marker type, center and size (m) in the object's frame, and whether it is turned from z to the object's x axis."""


def object_markers(world: World, stamp: Time, frame_prefix: str) -> MarkerArray:
    """Screwdriver and box of the first arm's table, each part a marker, in the arm's base frame."""
    header = Header(stamp=stamp, frame_id=frame_prefix + ROOT_LINK)
    poses = world.object_poses()
    (width, length), wall, height = BOX_INNER.tolist(), BOX_WALL, BOX_HEIGHT
    box: list[Part] = [(Marker.CUBE, (0.0, 0.0, wall / 2), (2 * width, 2 * length, wall), False)]
    for side in (-1.0, 1.0):
        box.append((Marker.CUBE, (side * (width + wall / 2), 0.0, height / 2), (wall, 2 * length, height), False))
        box.append((Marker.CUBE, (0.0, side * (length + wall / 2), height / 2), (2 * width, wall, height), False))
    handle, shaft = _rod(TOOL_BACK, -TOOL_BACK, TOOL_RADIUS), _rod(-TOOL_BACK, TOOL_TIP, _SHAFT_RADIUS)
    parts = [
        *((poses["tool"], part, color) for part, color in ((handle, world.scene.tool_color), (shaft, _STEEL))),
        *((poses["box"], part, world.scene.box_color) for part in box),
    ]
    markers = [_marker(header, number, pose, part, color) for number, (pose, part, color) in enumerate(parts)]
    return MarkerArray(markers=markers)


def _rod(start: float, end: float, radius: float) -> Part:
    """A rod along the object's x axis, from ``start`` to ``end``."""
    return Marker.CYLINDER, ((start + end) / 2, 0.0, 0.0), (2 * radius, 2 * radius, end - start), True


def _marker(header: Header, number: int, pose: tuple[np.ndarray, np.ndarray], part: Part, color: Color) -> Marker:
    position, quaternion = pose
    kind, center, size, lying = part
    rotation = Rotation.from_quat(quaternion, scalar_first=True)
    x, y, z = position + rotation.apply(center)
    i, j, k, w = (rotation * _Z_TO_X if lying else rotation).as_quat().tolist()
    return Marker(
        header=header,
        ns="objects",
        id=number,
        type=kind,
        action=Marker.ADD,
        pose=Pose(position=Point(x=float(x), y=float(y), z=float(z)), orientation=Quaternion(w=w, x=i, y=j, z=k)),
        scale=Vector3(x=size[0], y=size[1], z=size[2]),
        color=ColorRGBA(r=float(color[0]), g=float(color[1]), b=float(color[2]), a=1.0),
    )
