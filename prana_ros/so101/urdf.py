"""The URDF of the SO-101, generated from model.py and shapes.py.

The nodes publish it as ``robot_description``; ``urdf/so101.urdf``, for programs that want a file, is what
``python -m prana_ros.so101.urdf`` prints.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import ArrayLike

from prana_ros.so101.kinematics import JOINT_AXES, JOINT_OFFSETS
from prana_ros.so101.model import (
    ACTUATOR,
    GRIPPER_TORQUE_FRACTION,
    JOINTS,
    LINKS,
    TOOL_CENTER_POINT,
    Joint,
    Link,
)
from prana_ros.so101.shapes import COLORS, SHAPES, Box, Cylinder

ROBOT_NAME = "so101"
ROOT_LINK = "base_link"
"""At the origin of ``base`` and without mass: KDL, and with it robot_state_publisher, takes no inertia at the root."""


def robot_description() -> str:
    """The arm's URDF as XML text.

    Links: the massless root base_link, base, shoulder, upper_arm, lower_arm, wrist, gripper, jaw and the massless
    gripper_frame at the tool center point. Joints are named as in ``JOINT_NAMES``; limits are the mechanical ones,
    effort in N·m and velocity in rad/s those of the servo (stall torque, and stall torque over damping, its speed
    without load).
    """
    robot = Element("robot", name=ROBOT_NAME)
    for name, color in COLORS.items():
        SubElement(SubElement(robot, "material", name=name), "color", rgba=_numbers(color))
    SubElement(robot, "link", name=ROOT_LINK)
    for link in LINKS:
        robot.append(_link(link))
    SubElement(robot, "link", name="gripper_frame")
    robot.append(_fixed_joint("base_joint", ROOT_LINK, "base", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    for joint, offset, axis in zip(JOINTS, JOINT_OFFSETS, JOINT_AXES, strict=True):
        robot.append(_joint(joint, offset, axis))
    robot.append(_fixed_joint("gripper_frame_joint", "gripper", "gripper_frame", TOOL_CENTER_POINT, (0.0, np.pi, 0.0)))
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding="unicode", xml_declaration=True) + "\n"


def _link(link: Link) -> Element:
    element = Element("link", name=link.name)
    inertial = SubElement(element, "inertial")
    SubElement(inertial, "origin", xyz=_numbers(_center_of_mass(link)), rpy="0 0 0")
    SubElement(inertial, "mass", value=_number(link.mass))
    moments = dict(zip(("ixx", "iyy", "izz"), link.inertia, strict=True))
    products = dict(zip(("ixy", "ixz", "iyz"), link.products, strict=True))
    SubElement(inertial, "inertia", {name: _number(value) for name, value in (moments | products).items()})
    for shape in SHAPES[link.name]:
        visual = SubElement(element, "visual")
        _geometry(visual, shape)
        SubElement(visual, "material", name=shape.material)
        _geometry(SubElement(element, "collision"), shape)
    return element


def _center_of_mass(link: Link) -> np.ndarray:
    """The center of mass in the link's frame: the table gives the jaw's in the gripper frame."""
    center = np.array(link.center_of_mass)
    if link.name == "jaw":
        pivot = next(joint.origin for joint in JOINTS if joint.child == "jaw")
        center = center - pivot
    return center


def _geometry(parent: Element, shape: Box | Cylinder) -> None:
    """Add the shape's origin and geometry to a ``visual`` or ``collision`` element."""
    if isinstance(shape, Box):
        SubElement(parent, "origin", xyz=_numbers(shape.center), rpy="0 0 0")
        SubElement(SubElement(parent, "geometry"), "box", size=_numbers(shape.size))
        return
    start, end = np.array(shape.start), np.array(shape.end)
    x, y, z = end - start
    # A URDF cylinder lies along z: tilt it about y, then turn it about z, to where it points.
    rpy = (0.0, np.arctan2(np.hypot(x, y), z), np.arctan2(y, x))
    SubElement(parent, "origin", xyz=_numbers((start + end) / 2), rpy=_numbers(rpy))
    length = float(np.linalg.norm(end - start))
    SubElement(SubElement(parent, "geometry"), "cylinder", radius=_number(shape.radius), length=_number(length))


def _joint(joint: Joint, offset: np.ndarray, axis: np.ndarray) -> Element:
    element = Element("joint", name=joint.name, type="revolute")
    SubElement(element, "parent", link=joint.parent)
    SubElement(element, "child", link=joint.child)
    SubElement(element, "origin", xyz=_numbers(offset[:3, 3]), rpy=_numbers(_roll_pitch_yaw(offset[:3, :3])))
    SubElement(element, "axis", xyz=_numbers(axis))
    effort = ACTUATOR.torque_limit * (GRIPPER_TORQUE_FRACTION if joint.name == "gripper" else 1.0)
    limit = {"lower": joint.lower, "upper": joint.upper, "effort": effort}
    limit["velocity"] = ACTUATOR.torque_limit / ACTUATOR.damping
    SubElement(element, "limit", {name: _number(value) for name, value in limit.items()})
    dynamics = {"damping": ACTUATOR.damping, "friction": ACTUATOR.friction}
    SubElement(element, "dynamics", {name: _number(value) for name, value in dynamics.items()})
    return element


def _fixed_joint(name: str, parent: str, child: str, xyz: ArrayLike, rpy: ArrayLike) -> Element:
    element = Element("joint", name=name, type="fixed")
    SubElement(element, "parent", link=parent)
    SubElement(element, "child", link=child)
    SubElement(element, "origin", xyz=_numbers(xyz), rpy=_numbers(rpy))
    return element


def _roll_pitch_yaw(rotation: np.ndarray) -> tuple[float, float, float]:
    """URDF angles of a rotation matrix R = Rz(yaw) Ry(pitch) Rx(roll), in rad.

    At a pitch of ±90°, where only roll ∓ yaw is determined (the roll joint is there), the yaw is taken as zero.
    """
    level = np.hypot(rotation[0, 0], rotation[1, 0])
    pitch = np.arctan2(-rotation[2, 0], level)
    if level < 1e-9:
        return float(np.arctan2(-rotation[1, 2], rotation[1, 1])), float(pitch), 0.0
    return (
        float(np.arctan2(rotation[2, 1], rotation[2, 2])),
        float(pitch),
        float(np.arctan2(rotation[1, 0], rotation[0, 0])),
    )


def _number(value: float) -> str:
    return f"{value + 0.0:.10g}"


def _numbers(values: ArrayLike | Iterable[float]) -> str:
    return " ".join(_number(0.0 if abs(value) < 1e-15 else value) for value in np.asarray(values))


if __name__ == "__main__":
    print(robot_description(), end="")
