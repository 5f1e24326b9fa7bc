"""The MJCF of the twin: arms made from the table of figures, a table, a screwdriver, a box and two cameras.

Contact and solver figures keep an 18 mm handle in the jaws: elliptic cones, impratio 10, stiff contacts, four contact
dimensions (torsion), 2 ms implicitfast. With MuJoCo's defaults every second grasp slips.
"""

import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import mujoco
import numpy as np

from prana_ros.simulation.scene import BOX_HEIGHT, BOX_INNER, BOX_WALL, TOOL_BACK, TOOL_RADIUS, TOOL_TIP
from prana_ros.so101.model import ACTUATOR, GRIPPER_ROTATION, JOINTS, LINKS, TOOL_CENTER_POINT, Joint, Link

Vector = Sequence[float] | np.ndarray

TIMESTEP = 0.002
SECOND_ARM = "leader_"
"""Prefix of the second arm's names."""
SECOND_ARM_POSITION = (0.0, 0.45, 0.0)

TABLE_CAMERA_POSITION = (0.40, -0.02, 0.50)
TABLE_CAMERA_TARGET = (0.17, -0.02, 0.03)

_PLASTIC, _PALE, _SERVO, _JAW = "0.95 0.60 0.14 1", "0.93 0.92 0.88 1", "0.13 0.13 0.15 1", "0.97 0.70 0.20 1"

# Shapes of each link: type, half sizes (cylinder: radius, half height), position, color; mm in the link's frame.
_Shape = tuple[str, Sequence[float], Sequence[float], str]
_SHAPES: dict[str, list[_Shape]] = {
    "base": [
        ("box", (52, 34, 6), (0, 0, 6), _PLASTIC),
        ("box", (27, 26, 16), (25, 0, 27), _SERVO),
        ("box", (24, 30, 17), (-14, 0, 28), _PALE),
    ],
    "shoulder": [
        ("cylinder", (26, 6), (0, 0, -12), _PLASTIC),
        ("box", (22, 24, 15), (10, 0, 9), _PLASTIC),
        ("box", (15, 21, 20), (30, 0, 42), _SERVO),
    ],
    "upper_arm": [],
    "lower_arm": [],
    "wrist": [
        ("box", (17, 13, 17), (22, 0, 0), _SERVO),
        ("box", (15, 20, 15), (44, 0, 0), _PLASTIC),
    ],
    "gripper": [
        ("box", (16, 21, 6), (0, 0, -6), _PLASTIC),
        ("box", (21, 12, 16), (4, 0, -26), _SERVO),
        ("box", (4.5, 12, 25), (-17.8, 0, -33), _JAW),
        ("box", (3.5, 9, 11), (-15.1, 0, -69), _JAW),
        ("box", (3.0, 7, 9), (-12.9, 0, -89), _JAW),
        ("box", (2.8, 5.5, 3.25), (-10.7, 0, -101.25), _JAW),
    ],
    "jaw": [
        ("box", (9, 12, 9), (0, 0, 2), _PLASTIC),
        ("box", (4.0, 10, 16), (-4.3, 0, -23), _JAW),
        ("box", (3.5, 8, 13), (-6.8, 0, -52), _JAW),
        ("box", (3.0, 6, 9.5), (-9.3, 0, -73), _JAW),
    ],
}  # fmt: skip


def build_mjcf(arms: int = 1) -> str:
    """The model as XML. ``arms`` is 1, or 2 for a second arm beside the first (names prefixed ``leader_``)."""
    if arms not in (1, 2):
        raise ValueError(f"the twin has 1 or 2 arms, not {arms}")
    root = ET.Element("mujoco", model="so101_twin")
    _add(root, "compiler", angle="radian", autolimits="true")
    _add(root, "option", timestep=TIMESTEP, integrator="implicitfast", cone="elliptic", impratio=10)
    _add_appearance(root)
    world = _add(root, "worldbody")
    actuators = ET.Element("actuator")
    _add_arm(world, actuators, "", (0.0, 0.0, 0.0))
    if arms == 2:
        _add_arm(world, actuators, SECOND_ARM, SECOND_ARM_POSITION)
    _add_table(world)
    _add_box(world)
    _add_tool(world)
    root.append(actuators)
    return ET.tostring(root, encoding="unicode")


def look_at(position: Vector, target: Vector, up: Vector = (0, 0, 1)) -> np.ndarray:
    """Rotation matrix (columns: right, up, backwards) of a MuJoCo camera at ``position`` that looks at ``target``."""
    backwards = np.asarray(position, float) - np.asarray(target, float)
    backwards /= np.linalg.norm(backwards)
    right = np.cross(up, backwards)
    right /= np.linalg.norm(right)
    return np.column_stack([right, np.cross(backwards, right), backwards])


def _add_appearance(root: ET.Element) -> None:
    visual = _add(root, "visual")
    # A shadow map or multisampling would cost more than everything else in a frame.
    _add(visual, "quality", shadowsize=0, offsamples=0)
    _add(visual, "headlight", ambient="0.35 0.35 0.37", diffuse="0.27 0.27 0.27", specular="0.05 0.05 0.05")
    _add(visual, "map", znear=0.005, zfar=10)
    _add(visual, "global", offwidth=1920, offheight=1080)
    asset = _add(root, "asset")
    _add(asset, "texture", name="sky", type="skybox", builtin="gradient", rgb1="0.80 0.85 0.90", rgb2="0.42 0.47 0.55",
         width=64, height=384)  # fmt: skip
    _add(asset, "material", name="table", specular=0.1)
    _add(asset, "material", name="printed", specular=0.25, shininess=0.3)


def _add_arm(world: ET.Element, actuators: ET.Element, prefix: str, position: Sequence[float]) -> None:
    links = {link.name: link for link in LINKS}
    body = _add(world, "body", name=prefix + "base", pos=_text(position))
    _add_link(body, links["base"], prefix, np.zeros(3))
    bodies = {"base": body}
    origins: dict[str, np.ndarray] = {"base": np.zeros(3)}
    for joint in JOINTS:
        origin = np.array(joint.origin)
        if joint.child == "jaw":
            body = _add(bodies[joint.parent], "body", name=prefix + joint.child, pos=_text(origin))
        else:
            offset = origin - origins[joint.parent]
            rotation = np.array(GRIPPER_ROTATION) if joint.child == "gripper" else np.eye(3)
            body = _add(bodies[joint.parent], "body", name=prefix + joint.child, pos=_text(offset),
                        quat=_text(_quaternion(rotation)))  # fmt: skip
        bodies[joint.child], origins[joint.child] = body, origin
        _add_joint(body, joint, prefix)
        _add_link(body, links[joint.child], prefix, origin if joint.child == "jaw" else np.zeros(3))
        limit = ACTUATOR.torque_limit
        _add(actuators, "position", name=prefix + joint.name, joint=prefix + joint.name, kp=ACTUATOR.position_gain,
             forcerange=_text((-limit, limit)))  # fmt: skip
    _add_limbs(bodies)
    _add_wrist_camera(bodies["gripper"], prefix)


def _add_joint(body: ET.Element, joint: Joint, prefix: str) -> None:
    axis = np.array(joint.axis)
    if joint.child == "gripper":  # the table gives this axis in the base frame, MJCF wants it in the turned body
        axis = np.array(GRIPPER_ROTATION).T @ axis
    _add(body, "joint", name=prefix + joint.name, axis=_text(axis), range=_text((joint.lower, joint.upper)),
         armature=ACTUATOR.armature, damping=ACTUATOR.damping, frictionloss=ACTUATOR.friction)  # fmt: skip


def _add_link(body: ET.Element, link: Link, prefix: str, frame_origin: np.ndarray) -> None:
    inertia = (*link.inertia, *link.products)
    _add(body, "inertial", pos=_text(np.array(link.center_of_mass) - frame_origin), mass=link.mass,
         fullinertia=_text(inertia))  # fmt: skip
    for shape, size, position, color in _SHAPES[link.name]:
        _add_shape(body, shape, color, size=_text(np.array(size) / 1000), pos=_text(np.array(position) / 1000))
    if link.name == "gripper":
        rotation = np.diag([-1.0, 1.0, -1.0])  # the fixed frame is turned by pi about y
        _add(body, "site", name=prefix + "gripper_frame", pos=_text(TOOL_CENTER_POINT),
             quat=_text(_quaternion(rotation)), size="0.002", rgba="0 0 0 0")  # fmt: skip


def _add_limbs(bodies: dict[str, ET.Element]) -> None:
    """Upper and lower arm: a bar between two joints, with the next joint's servo at its end."""
    for link, child in (("upper_arm", "lower_arm"), ("lower_arm", "wrist")):
        end = np.array([float(value) for value in bodies[child].attrib["pos"].split()])
        direction = end / np.linalg.norm(end)
        turn = -math.atan2(direction[2], direction[0])  # about y, so that the shape's x runs along the bar
        quaternion = _text((math.cos(turn / 2), 0.0, math.sin(turn / 2), 0.0))
        length = float(np.linalg.norm(end))
        for side in (-1, 1):
            _add_shape(bodies[link], "box", _PLASTIC, size=_text((length / 2 - 0.004, 0.003, 0.014)),
                       pos=_text(end / 2 + np.array([0, side * 0.017, 0])), quat=quaternion)  # fmt: skip
        _add_shape(bodies[link], "box", _PALE, size=_text((length / 2 - 0.028, 0.014, 0.009)), pos=_text(end / 2),
                   quat=quaternion)  # fmt: skip
        _add_shape(bodies[link], "box", _SERVO, size="0.020 0.0135 0.0135", pos=_text(end - 0.008 * direction),
                   quat=quaternion)  # fmt: skip
        for joint in (np.zeros(3), end):
            _add_shape(bodies[link], "cylinder", _PALE, size="0.013 0.0225", pos=_text(joint), zaxis="0 1 0")


def _add_shape(body: ET.Element, shape: str, color: str, **attributes: str) -> None:
    """Arm shapes touch objects and the table, never each other: the joint limits keep the links apart."""
    _add(body, "geom", type=shape, rgba=color, material="printed", contype=2, conaffinity=1, condim=4, mass=0,
         friction="1.0 0.01 0.0001", solref="0.01 1", solimp="0.95 0.99 0.001", **attributes)  # fmt: skip


def _add_wrist_camera(gripper: ET.Element, prefix: str) -> None:
    """Beside the jaws, looking along the tool's axis: the gap, the handle in it and how the tool is turned are seen."""
    position, target = np.array([0.004, -0.066, -0.030]), np.array([0.004, 0.0, -0.107])
    rotation = look_at(position, target)
    _add(gripper, "camera", name=prefix + "wrist", pos=_text(position), quat=_text(_quaternion(rotation)),
         fovy=62)  # fmt: skip
    seen = {"type": "box", "contype": 0, "conaffinity": 0, "mass": 0}
    _add(gripper, "geom", size="0.009 0.009 0.005", pos=_text(position + 0.008 * rotation[:, 2]), rgba=_SERVO,
         quat=_text(_quaternion(rotation)), **seen)  # fmt: skip
    _add(gripper, "geom", size="0.005 0.026 0.0025", pos="0.004 -0.036 -0.016", rgba=_PALE, **seen)


def _add_table(world: ET.Element) -> None:
    _add(world, "light", name="ceiling", type="directional", pos="0.3 0.2 1.5", dir="-0.25 -0.15 -1",
         diffuse="0.38 0.38 0.36", specular="0.15 0.15 0.15", castshadow="false")  # fmt: skip
    _add(world, "light", name="window", type="directional", pos="0.5 -1 1", dir="-0.5 0.8 -0.5",
         diffuse="0.16 0.17 0.19", specular="0 0 0", castshadow="false")  # fmt: skip
    rotation = look_at(TABLE_CAMERA_POSITION, TABLE_CAMERA_TARGET)
    _add(world, "camera", name="table", pos=_text(TABLE_CAMERA_POSITION), quat=_text(_quaternion(rotation)),
         fovy=52)  # fmt: skip
    _add(world, "geom", name="table", type="box", size="0.55 0.70 0.02", pos="0.20 0.10 -0.02", material="table",
         rgba="0.74 0.67 0.56 1", **_STATIC)  # fmt: skip
    _add(world, "geom", name="mat", type="box", size="0.16 0.27 0.0003", pos="0.235 0.0 0", material="table",
         rgba="0.33 0.41 0.42 1", contype=0, conaffinity=0)  # fmt: skip
    _add(world, "geom", name="floor", type="plane", size="4 4 0.1", pos="0 0 -0.75", rgba="0.52 0.54 0.56 1",
         contype=0, conaffinity=0)  # fmt: skip


_STATIC = {"contype": 1, "conaffinity": 0, "condim": 6, "friction": "0.7 0.005 0.0006",
           "solref": "0.01 1", "solimp": "0.95 0.99 0.001"}  # fmt: skip


def _add_box(world: ET.Element) -> None:
    """Open at the top; origin in the middle of its bottom, on the table. The scene moves it."""
    box = _add(world, "body", name="box", pos="0.13 -0.18 0")
    (width, length), wall, height = BOX_INNER, BOX_WALL, BOX_HEIGHT
    _add(box, "geom", name="box_floor", type="box", size=_text((width, length, wall / 2)), pos=_text((0, 0, wall / 2)),
         **_STATIC)  # fmt: skip
    for side in (-1, 1):
        _add(box, "geom", type="box", size=_text((wall / 2, length + wall, height / 2)),
             pos=_text((side * (width + wall / 2), 0, height / 2)), **_STATIC)  # fmt: skip
        _add(box, "geom", type="box", size=_text((width, wall / 2, height / 2)),
             pos=_text((0, side * (length + wall / 2), height / 2)), **_STATIC)  # fmt: skip


def _add_tool(world: ET.Element) -> None:
    """A 60 g screwdriver: capsule handle, steel shaft. Its x axis runs from the handle's middle to the tip."""
    tool = _add(world, "body", name="tool", pos="0.24 0 0.009")
    _add(tool, "freejoint", name="tool")
    contact = {"contype": 0, "conaffinity": 3, "condim": 4, "friction": "0.8 0.008 0.0001",
               "solref": "0.01 1", "solimp": "0.95 0.99 0.001"}  # fmt: skip
    radius, collar = TOOL_RADIUS, -TOOL_BACK
    _add(tool, "geom", name="handle", type="capsule", size=radius, mass=0.045, rgba="0.8 0.1 0.1 1",
         fromto=_text((TOOL_BACK + radius, 0, 0, collar - radius, 0, 0)), **contact)  # fmt: skip
    _add(tool, "geom", name="shaft", type="capsule", size=0.003, mass=0.015, rgba="0.72 0.74 0.77 1",
         fromto=_text((collar - 0.002, 0, 0, TOOL_TIP - 0.003, 0, 0)), **contact)  # fmt: skip
    _add(tool, "geom", type="cylinder", size="0.0062 0.003", pos=_text((collar - 0.001, 0, 0)), zaxis="1 0 0", mass=0,
         rgba="0.15 0.15 0.16 1", contype=0, conaffinity=0)  # fmt: skip


def _add(parent: ET.Element, tag: str, **attributes: object) -> ET.Element:
    return ET.SubElement(parent, tag, {name: str(value) for name, value in attributes.items()})


def _text(values: Vector) -> str:
    return " ".join(f"{float(value):.9g}" for value in values)


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
    return quaternion
