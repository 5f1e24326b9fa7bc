"""The scripted expert: where the servos' goals should be, at any time, to put the screwdriver into the box.

The path is written for the point where the tool is held, in the arm's polar coordinates; every segment is a
minimum-jerk move. The target leads the path by what the servos need to follow it: gravity and damping torque over their
gain.

The jaws can take a handle from two sides, and the one with the smaller roll is chosen: the roll is then a continuous
function of the direction of the handle's axis alone, whichever end the tip is at, except where the axis points along
the arm. Somewhere it has to jump, by half a turn, because the axis comes back to itself after half a turn and the roll
joint does not. There the style decides, so that demonstrations show both sides (see ``demonstration_style``).
"""

from dataclasses import dataclass, replace
from functools import cache

import mujoco
import numpy as np

from prana_ros.simulation.demonstration_style import PLAIN, DemonstrationStyle
from prana_ros.simulation.mjcf import build_mjcf
from prana_ros.simulation.scene import BOX_WALL, PAN_AXIS, Scene
from prana_ros.so101.model import ACTUATOR, GRIPPER_ROTATION, JOINT_NAMES, JOINTS, REST_POSE, TOOL_CENTER_POINT

OPEN, GRIP, RELEASE = np.radians(26.0), np.radians(-0.5), np.radians(18.0)
CLEARANCE = 0.010
"""Between fixed jaw and handle on the way down (m): at 1 mm a fifth of the grasps fail."""
GRASP_HEIGHT = 0.0105
RELEASE_HEIGHT = BOX_WALL + 0.024
MISS_HEIGHT = 0.022
"""Of an attempt that closes above the handle, over the grasp (m): the jaws' ends pass 6 mm over it."""
RAISED_PITCH = np.radians(70.0)
"""Pitch of the gripper up there: pointing straight down would need more wrist than there is."""
PATH_RATE = 100.0

_HAND = JOINTS[4].origin[0] - JOINTS[3].origin[0] - TOOL_CENTER_POINT[2]
_SHOULDER = np.array([JOINTS[1].origin[0] - JOINTS[0].origin[0], JOINTS[1].origin[2]])
_UPPER = np.array(JOINTS[2].origin)[[0, 2]] - np.array(JOINTS[1].origin)[[0, 2]]
_LOWER = np.array(JOINTS[3].origin)[[0, 2]] - np.array(JOINTS[2].origin)[[0, 2]]
_ROLL_OFFSET = np.arctan2(GRIPPER_ROTATION[1][0], GRIPPER_ROTATION[2][0])


@dataclass(frozen=True)
class GraspPose:
    """A pose of the gripper: the tool center's place on the roll axis in polar coordinates about the pan axis (m),
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
    """Joint angles (..., 6) in rad, elbow up, for grips (..., 6) in the order of ``GraspPose``: closed form.

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
class Segment:
    """One minimum-jerk move between two arrays (6,): joint angles, or the coordinates of a ``GraspPose``."""

    name: str
    duration: float
    start: np.ndarray
    end: np.ndarray
    in_joints: bool = False
    noise: float = 1.0
    """How much of a demonstration's extra noise this segment bears."""

    def positions(self, times: np.ndarray) -> np.ndarray:
        """Joint angles (N, 6) in rad at ``times`` (N,) in s since the segment's start."""
        share = np.clip(times / self.duration, 0.0, 1.0)[:, None]
        share = share**3 * (10 - 15 * share + 6 * share**2)
        path = self.start + share * (self.end - self.start)
        return path if self.in_joints else inverse_kinematics(path)


class Expert:
    """A pick and place for one scene. ``target(t)`` gives goals (6,) rad for 0 <= t <= ``duration`` (s)."""

    def __init__(self, scene: Scene, style: DemonstrationStyle = PLAIN) -> None:
        self._segments = plan_segments(scene, style)
        self._ends = np.cumsum([segment.duration for segment in self._segments])
        self.duration = float(self._ends[-1])
        times = np.arange(int(np.ceil(self.duration * PATH_RATE)) + 1) / PATH_RATE
        which = np.minimum(np.searchsorted(self._ends, times, side="right"), len(self._segments) - 1)
        starts = self._ends - [segment.duration for segment in self._segments]
        path = np.concatenate(
            [segment.positions(times[which == i] - starts[i]) for i, segment in enumerate(self._segments)]
        )
        lead = gravity_torque(path) + ACTUATOR.damping * np.gradient(path, 1 / PATH_RATE, axis=0)
        self._targets = path + lead / ACTUATOR.position_gain

    def target(self, time: float) -> np.ndarray:
        """The servos' goals (6,) in rad at ``time`` (s); the last ones hold."""
        position = min(max(time * PATH_RATE, 0.0), len(self._targets) - 1.0)
        index = min(int(position), len(self._targets) - 2)
        weight = position - index
        return (1 - weight) * self._targets[index] + weight * self._targets[index + 1]

    def segment(self, time: float) -> Segment:
        """The segment that is under way at ``time`` (s)."""
        return self._segments[min(int(np.searchsorted(self._ends, time, side="right")), len(self._segments) - 1)]


def plan_segments(scene: Scene, style: DemonstrationStyle = PLAIN) -> list[Segment]:
    """The whole task, from the rest pose and back to it."""
    grasp, around = grasp_poses(scene, style)
    place = place_pose(scene, style)
    hover = _shifted(replace(around, height=style.hover, pitch=RAISED_PITCH), style.hover_shift)
    over = replace(place, height=style.carry, pitch=RAISED_PITCH)
    rest = np.array(REST_POSE)
    away = replace(over, gripper=RELEASE)
    pick, last = _pick_segments(style, hover, around, grasp)
    segments = [
        Segment("approach", 1.7 / style.pace, rest, inverse_kinematics(hover.as_array()), in_joints=True),
        *pick,
        _segment("carry", 1.4 / style.pace, last, over, 0.15),
        _segment("pause", style.pause_at_box, over, over, 0.15),
        _segment("lower", 0.6 / style.care, over, place, 0.15),
        _segment("open", 0.4 / style.care, place, replace(place, gripper=RELEASE), 0.15),
        _segment("leave", 0.5 / style.care, replace(place, gripper=RELEASE), away, 0.4),
        Segment("return", 1.6 / style.pace, inverse_kinematics(away.as_array()), rest, in_joints=True),
        Segment("rest", 0.2, rest, rest, in_joints=True),
    ]
    return [segment for segment in segments if segment.duration > 0]


def _pick_segments(
    style: DemonstrationStyle, hover: GraspPose, around: GraspPose, grasp: GraspPose
) -> tuple[list[Segment], GraspPose]:
    """From over the handle until it is lifted, and the grip that this ends with."""
    care, squeezed = style.care, replace(grasp, gripper=GRIP)
    lifted = replace(squeezed, height=style.carry, pitch=RAISED_PITCH)
    segments, start = [_segment("pause", style.pause_at_tool, hover, hover, 0.4)], hover
    if style.miss is not None:
        high = replace(around, height=around.height + MISS_HEIGHT)
        empty = replace(high, gripper=GRIP)
        raised = replace(around, height=around.height + style.miss)
        segments += [
            _segment("descend", 0.6 / care, start, high, 0.4),
            _segment("close", 0.55 / care, high, empty, 0.15),
            _segment("open again", 0.6 / care, empty, raised, 0.4),
        ]
        start = raised
    segments += [
        _segment("descend", 0.8 / care, start, around, 0.4),
        _segment("close", 0.55 / care, around, squeezed, 0.15),
        _segment("squeeze", 0.1, squeezed, squeezed, 0.15),
        _segment("lift", 0.7 / care, squeezed, lifted, 0.15),
    ]
    return segments, lifted


def _segment(name: str, duration: float, start: GraspPose, end: GraspPose, noise: float) -> Segment:
    return Segment(name, duration, start.as_array(), end.as_array(), noise=noise)


def _shifted(grip: GraspPose, shift: tuple[float, float]) -> GraspPose:
    """``grip`` moved by ``shift`` (m, base frame) and still turned as it was on the table."""
    x, y = grip.radius * np.cos(grip.azimuth) + shift[0], grip.radius * np.sin(grip.azimuth) + shift[1]
    azimuth = float(np.arctan2(y, x))
    return replace(grip, azimuth=azimuth, radius=float(np.hypot(x, y)), roll=grip.roll + grip.azimuth - azimuth)


def grasp_poses(scene: Scene, style: DemonstrationStyle = PLAIN) -> tuple[GraspPose, GraspPose]:
    """Jaws about to squeeze the handle, and jaws open around it with the fixed jaw held clear."""
    middle = np.array(scene.tool_position)
    turn, backwards = _turn(scene, style)
    azimuth = np.arctan2(*(middle - PAN_AXIS)[::-1])
    if backwards:
        turn -= np.sign(turn) * np.pi
    across = azimuth + turn
    handle = middle + style.grasp_shift * np.array([np.cos(scene.tool_yaw), np.sin(scene.tool_yaw)])
    # The handle is driven to the fixed jaw, so the gripper ends where that jaw touches it.
    offset = _handle_in_jaws(scene)
    closed = _grasp_pose_at(handle, across, offset, GRASP_HEIGHT, GRIP)
    around = _grasp_pose_at(handle, across, offset + CLEARANCE, GRASP_HEIGHT, OPEN)
    return closed, around


def _turn(scene: Scene, style: DemonstrationStyle) -> tuple[float, bool]:
    """The tool's turn (rad) away from lying across the arm with its tip to the left, and whether the handle is taken
    the other way round."""
    x, y = np.array(scene.tool_position) - PAN_AXIS
    turn = scene.tool_yaw - np.arctan2(y, x) - np.pi / 2
    turn = float((turn + np.pi) % (2 * np.pi) - np.pi)
    return turn, abs(turn) > style.turn_limit


def place_pose(scene: Scene, style: DemonstrationStyle = PLAIN) -> GraspPose:
    """Tool held just over the bottom of the box, along its length and in its middle, jaws still closed."""
    across, along = (np.array([np.cos(yaw), np.sin(yaw)]) for yaw in (scene.box_yaw, scene.box_yaw + np.pi / 2))
    towards_tip = -along if _turn(scene, style)[1] else along
    middle = np.array(scene.box_position) + style.place_shift[0] * across + style.place_shift[1] * along
    handle = middle + towards_tip * (style.grasp_shift - sum(scene.tool_ends) / 2)
    return _grasp_pose_at(handle, scene.box_yaw, _handle_in_jaws(scene), RELEASE_HEIGHT, GRIP)


def _handle_in_jaws(scene: Scene) -> float:
    """Distance of a held handle from the roll axis, along the direction in which the jaws open (m)."""
    return TOOL_CENTER_POINT[0] + scene.tool_radius


def _grasp_pose_at(handle: np.ndarray, across: float, offset: float, height: float, gripper: float) -> GraspPose:
    """Gripper pointing down, jaws opening towards ``across`` (rad in the base frame), the handle ``offset`` from the
    roll axis in that direction."""
    center = handle - offset * np.array([np.cos(across), np.sin(across)]) - PAN_AXIS
    azimuth = float(np.arctan2(center[1], center[0]))
    roll = (across - azimuth + np.pi) % (2 * np.pi) - np.pi - _ROLL_OFFSET
    return GraspPose(azimuth, float(np.hypot(*center)), height, np.pi / 2, float(roll), gripper)
