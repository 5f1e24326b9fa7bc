"""The scripted expert: where the servos' goals should be, at any time, to put the screwdriver into the box.

The path is written for the point where the tool is held, in the arm's polar coordinates; every leg is a minimum-jerk
move. The target leads the path by what the servos need to follow it: gravity and damping torque over their gain.
"""

from dataclasses import dataclass, replace
from functools import cache

import mujoco
import numpy as np

from prana_ros.simulation.mjcf import build_mjcf
from prana_ros.simulation.scene import BOX_WALL, PAN_AXIS, TOOL_BACK, TOOL_RADIUS, TOOL_TIP, Scene
from prana_ros.so101.figures import ACTUATOR, GRIPPER_ROTATION, JOINT_NAMES, JOINTS, REST_POSE, TOOL_CENTER_POINT

OPEN, GRIP, RELEASE = np.radians(26.0), np.radians(-0.5), np.radians(18.0)
CLEARANCE = 0.010
"""Between fixed jaw and handle on the way down (m): at 1 mm a fifth of the grasps fail."""
GRASP_HEIGHT = 0.0105
HOVER, CARRY = 0.075, 0.105
RELEASE_HEIGHT = BOX_WALL + 0.024
ROLL_REACH = 2.6
"""Turns beyond this (rad) are past the roll joint's range: the handle is taken the other way round."""
RAISED_PITCH = np.radians(70.0)
"""Pitch of the gripper up there: pointing straight down would need more wrist than there is."""
PATH_RATE = 100.0

_HAND = JOINTS[4].origin[0] - JOINTS[3].origin[0] - TOOL_CENTER_POINT[2]
_SHOULDER = np.array([JOINTS[1].origin[0] - JOINTS[0].origin[0], JOINTS[1].origin[2]])
_UPPER = np.array(JOINTS[2].origin)[[0, 2]] - np.array(JOINTS[1].origin)[[0, 2]]
_LOWER = np.array(JOINTS[3].origin)[[0, 2]] - np.array(JOINTS[2].origin)[[0, 2]]
_ROLL_OFFSET = np.arctan2(GRIPPER_ROTATION[1][0], GRIPPER_ROTATION[2][0])
_HANDLE_IN_JAWS = TOOL_CENTER_POINT[0] + TOOL_RADIUS
"""Distance of a held handle from the roll axis, along the direction in which the jaws open (m)."""


@dataclass(frozen=True)
class Grip:
    """A pose of the gripper: the tool centre's place on the roll axis in polar coordinates about the pan axis (m),
    the pitch (0 forward, pi/2 down), the roll joint and the gripper joint (rad)."""

    azimuth: float
    radius: float
    height: float
    pitch: float
    roll: float
    gripper: float

    def as_array(self) -> np.ndarray:
        """The coordinates (6,), in the order of the fields."""
        return np.array([self.azimuth, self.radius, self.height, self.pitch, self.roll, self.gripper])


def inverse_kinematics(grips: np.ndarray) -> np.ndarray:
    """Joint angles (..., 6) in rad, elbow up, for grips (..., 6) in the order of ``Grip``: closed form.

    ``ValueError`` if a grip is out of reach.
    """
    azimuth, radius, height, pitch, roll, gripper = np.moveaxis(np.asarray(grips, float), -1, 0)
    forward = radius - _HAND * np.cos(pitch) - _SHOULDER[0]
    up = height + _HAND * np.sin(pitch) - _SHOULDER[1]
    reach, upper, lower = np.hypot(forward, up), np.hypot(*_UPPER), np.hypot(*_LOWER)
    if (reach > upper + lower).any() or (reach < abs(upper - lower)).any():
        raise ValueError(
            f"the wrist would be {float(np.max(reach)):.3f} m from the shoulder, reach is {upper + lower:.3f} m"
        )
    towards = -np.arctan2(up, forward)
    lift = (
        towards - np.arccos((upper**2 + reach**2 - lower**2) / (2 * upper * reach)) + np.arctan2(_UPPER[1], _UPPER[0])
    )
    forearm = towards + np.arccos((lower**2 + reach**2 - upper**2) / (2 * lower * reach))
    elbow = forearm + np.arctan2(_LOWER[1], _LOWER[0]) - lift
    return np.stack([-azimuth, lift, elbow, pitch - lift - elbow, roll, gripper], axis=-1)


@cache
def _gravity_model() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(build_mjcf())
    return model, mujoco.MjData(model)


def gravity_torque(positions: np.ndarray) -> np.ndarray:
    """Torque (N, 6) in N·m that holds the arm at ``positions`` (N, 6) rad."""
    model, data = _gravity_model()
    joints = [model.joint(name) for name in JOINT_NAMES]
    qpos, dofs = [joint.qposadr[0] for joint in joints], [joint.dofadr[0] for joint in joints]
    torques = np.zeros_like(positions)
    for index, position in enumerate(positions):
        data.qpos[qpos] = position
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        bias = np.zeros(model.nv)
        mujoco.mj_rne(model, data, 0, bias)
        torques[index] = bias[dofs]
    return torques


@dataclass(frozen=True)
class Leg:
    """One minimum-jerk move between two arrays (6,): joint angles, or the coordinates of a ``Grip``."""

    name: str
    duration: float
    start: np.ndarray
    end: np.ndarray
    in_joints: bool = False
    noise: float = 1.0
    """How much of a demonstration's extra noise this leg bears."""

    def positions(self, times: np.ndarray) -> np.ndarray:
        """Joint angles (N, 6) in rad at ``times`` (N,) in s since the leg's start."""
        share = np.clip(times / self.duration, 0.0, 1.0)[:, None]
        share = share**3 * (10 - 15 * share + 6 * share**2)
        path = self.start + share * (self.end - self.start)
        return path if self.in_joints else inverse_kinematics(path)


class Expert:
    """A pick and place for one scene. ``target(t)`` gives goals (6,) rad for 0 <= t <= ``duration`` (s)."""

    def __init__(self, scene: Scene) -> None:
        self._legs = plan_legs(scene)
        self._ends = np.cumsum([leg.duration for leg in self._legs])
        self.duration = float(self._ends[-1])
        times = np.arange(int(np.ceil(self.duration * PATH_RATE)) + 1) / PATH_RATE
        which = np.minimum(np.searchsorted(self._ends, times, side="right"), len(self._legs) - 1)
        starts = self._ends - [leg.duration for leg in self._legs]
        path = np.concatenate([leg.positions(times[which == i] - starts[i]) for i, leg in enumerate(self._legs)])
        lead = gravity_torque(path) + ACTUATOR.damping * np.gradient(path, 1 / PATH_RATE, axis=0)
        self._targets = path + lead / ACTUATOR.position_gain

    def target(self, time: float) -> np.ndarray:
        """The servos' goals (6,) in rad at ``time`` (s); the last ones hold."""
        position = min(max(time * PATH_RATE, 0.0), len(self._targets) - 1.0)
        index = min(int(position), len(self._targets) - 2)
        weight = position - index
        return (1 - weight) * self._targets[index] + weight * self._targets[index + 1]

    def leg(self, time: float) -> Leg:
        """The leg that is under way at ``time`` (s)."""
        return self._legs[min(int(np.searchsorted(self._ends, time, side="right")), len(self._legs) - 1)]


def plan_legs(scene: Scene) -> list[Leg]:
    """The whole task, from the rest pose and back to it."""
    grasp, before = grasp_grips(scene)
    place = place_grip(scene)
    hover = replace(before, height=HOVER, pitch=RAISED_PITCH)
    lifted = replace(grasp, height=CARRY, pitch=RAISED_PITCH)
    over = replace(place, height=CARRY, pitch=RAISED_PITCH)
    opened = replace(place, gripper=RELEASE)
    left = replace(over, gripper=RELEASE)
    closed = replace(grasp, gripper=GRIP)
    rest = np.array(REST_POSE)

    def leg(name: str, duration: float, start: Grip, end: Grip, noise: float) -> Leg:
        return Leg(name, duration, start.as_array(), end.as_array(), noise=noise)

    return [
        Leg("approach", 1.7, rest, inverse_kinematics(hover.as_array()), in_joints=True),
        leg("descend", 0.8, hover, before, 0.4),
        leg("close", 0.55, before, closed, 0.15),
        leg("squeeze", 0.1, closed, closed, 0.15),
        leg("lift", 0.7, closed, lifted, 0.15),
        leg("carry", 1.4, lifted, over, 0.15),
        leg("lower", 0.6, over, place, 0.15),
        leg("open", 0.4, place, opened, 0.15),
        leg("leave", 0.5, opened, left, 0.4),
        Leg("return", 1.6, inverse_kinematics(left.as_array()), rest, in_joints=True),
        Leg("rest", 0.2, rest, rest, in_joints=True),
    ]


def grasp_grips(scene: Scene) -> tuple[Grip, Grip]:
    """Jaws about to squeeze the handle, and jaws open around it with the fixed jaw held clear.

    The jaws open away from the arm where they can: the roll is then a continuous function of the tool's direction.
    """
    handle = np.array(scene.tool_position)
    turn, backwards = _turn(scene)
    azimuth = np.arctan2(*(handle - PAN_AXIS)[::-1])
    if backwards:
        turn -= np.sign(turn) * np.pi
    across = azimuth + turn
    # The handle is driven to the fixed jaw, so the gripper ends where that jaw touches it.
    closed = _grip_at(handle, across, _HANDLE_IN_JAWS, GRASP_HEIGHT, GRIP)
    around = _grip_at(handle, across, _HANDLE_IN_JAWS + CLEARANCE, GRASP_HEIGHT, OPEN)
    return closed, around


def _turn(scene: Scene) -> tuple[float, bool]:
    """The tool's turn (rad) away from lying across the arm with its tip to the left, and whether that is more than the
    roll joint can follow, so that the handle is taken the other way round."""
    x, y = np.array(scene.tool_position) - PAN_AXIS
    turn = scene.tool_yaw - np.arctan2(y, x) - np.pi / 2
    turn = float((turn + np.pi) % (2 * np.pi) - np.pi)
    return turn, abs(turn) > ROLL_REACH


def place_grip(scene: Scene) -> Grip:
    """Tool held just over the bottom of the box, along its length and in its middle, jaws still closed."""
    along = np.array([-np.sin(scene.box_yaw), np.cos(scene.box_yaw)])
    towards_tip = -along if _turn(scene)[1] else along
    handle = np.array(scene.box_position) - towards_tip * (TOOL_BACK + TOOL_TIP) / 2
    return _grip_at(handle, scene.box_yaw, _HANDLE_IN_JAWS, RELEASE_HEIGHT, GRIP)


def _grip_at(handle: np.ndarray, across: float, offset: float, height: float, gripper: float) -> Grip:
    """Gripper pointing down, jaws opening towards ``across`` (rad in the base frame), the handle ``offset`` from the
    roll axis in that direction."""
    center = handle - offset * np.array([np.cos(across), np.sin(across)]) - PAN_AXIS
    azimuth = float(np.arctan2(center[1], center[0]))
    roll = (across - azimuth + np.pi) % (2 * np.pi) - np.pi - _ROLL_OFFSET
    return Grip(azimuth, float(np.hypot(*center)), height, np.pi / 2, float(roll), gripper)
