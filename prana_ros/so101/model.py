"""The SO-101 in one table of figures: URDF, MJCF, kinematics and limits are all made from it.

Frames: every link frame is aligned with the base frame at the zero pose (x forward, y left, z up), except
``gripper`` and ``jaw``, which use the gripper frame: at the zero pose its z axis is (-1, 0, 0), its x axis
(0, -.0487, .9988) and its y axis (0, .9988, .0487) in the base frame.

Source: TheRobotStudio's SO-ARM100 ``so101_new_calib`` URDF and measurements on STS3215 servos.
Units: meters, kilograms, radians, seconds, N·m.
"""

from dataclasses import dataclass

Vector = tuple[float, float, float]

GRIPPER_ROTATION: tuple[Vector, Vector, Vector] = (
    (0.0, 0.0, -1.0),
    (-0.0486602942, 0.9988153861, 0.0),
    (0.9988153861, 0.0486602942, 0.0),
)
"""Rotation matrix base ← gripper frame at the zero pose (columns: the gripper frame's axes in the base frame)."""


@dataclass(frozen=True)
class Link:
    """A rigid body: mass (kg), center of mass (m) and inertia about it (kg·m²), in the link's frame."""

    name: str
    mass: float
    center_of_mass: Vector
    inertia: Vector
    products: Vector = (0.0, 0.0, 0.0)
    """Ixy, Ixz, Iyz."""


@dataclass(frozen=True)
class Joint:
    """A revolute joint: where it is at the zero pose, its axis and its limits.

    ``origin`` and ``axis`` are in the base frame at the zero pose, except for ``gripper``, whose are in the
    gripper frame.
    """

    name: str
    parent: str
    child: str
    origin: Vector
    axis: Vector
    lower: float
    upper: float


LINKS: tuple[Link, ...] = (
    Link("base", 0.147, (0.0137, 0.0, 0.0335), (11.5e-5, 13.6e-5, 13.0e-5)),
    Link("shoulder", 0.100, (0.0308, 0.0, 0.0253), (8.38e-5, 8.10e-5, 2.40e-5)),
    Link("upper_arm", 0.103, (0.0084, 0.0001, 0.0898), (14.7e-5, 14.2e-5, 4.08e-5), (0.0, -1.98e-5, 0.0)),
    Link("lower_arm", 0.104, (0.0981, 0.0, 0.0032), (2.87e-5, 14.5e-5, 16.0e-5), (0.0, -0.74e-5, 0.0)),
    Link("wrist", 0.079, (0.0386, 0.0098, 0.0001), (2.54e-5, 2.10e-5, 3.68e-5), (-0.36e-5, 0.0, 0.0)),
    Link("gripper", 0.087, (0.0002, 0.0002, -0.0252), (2.75e-5, 4.34e-5, 3.45e-5), (0.0, -0.57e-5, 0.0)),
    Link("jaw", 0.012, (0.0186, -0.0005, -0.0534), (0.66e-5, 0.53e-5, 0.19e-5)),
)
"""Centers of mass are in the link's own frame (origin: the joint that moves it); the jaw's is in the gripper frame."""

JOINTS: tuple[Joint, ...] = (
    Joint("shoulder_pan", "base", "shoulder", (0.0388, 0.0, 0.0624), (0.0, 0.0, -1.0), -1.91986, 1.91986),
    Joint("shoulder_lift", "shoulder", "upper_arm", (0.0692, 0.0, 0.1166), (0.0, 1.0, 0.0), -1.74533, 1.74533),
    Joint("elbow_flex", "upper_arm", "lower_arm", (0.0972, 0.0, 0.2292), (0.0, 1.0, 0.0), -1.69, 1.69),
    Joint("wrist_flex", "lower_arm", "wrist", (0.2321, 0.0, 0.2344), (0.0, 1.0, 0.0), -1.65806, 1.65806),
    Joint("wrist_roll", "wrist", "gripper", (0.2932, 0.0, 0.2344), (-1.0, 0.0, 0.0), -2.74385, 2.84121),
    Joint("gripper", "gripper", "jaw", (0.0202, 0.0, -0.0234), (0.0, -1.0, 0.0), -0.174533, 1.74533),
)

JOINT_NAMES: tuple[str, ...] = tuple(joint.name for joint in JOINTS)
"""The order of the joints everywhere: arrays of shape (..., 6) follow it."""

TOOL_CENTER_POINT: Vector = (-0.0079, -0.0002, -0.0981)
"""Origin of the fixed frame ``gripper_frame`` in the gripper frame; it is turned by pi about y."""

JAW_GAP: tuple[tuple[float, float], ...] = (
    (-10.0, 1.9e-3), (-5.0, 8.8e-3), (0.0, 15.8e-3), (5.0, 22e-3), (10.0, 28.5e-3),
    (20.0, 41e-3), (30.0, 52e-3), (60.0, 81e-3), (100.0, 107e-3),
)  # fmt: skip
"""Gap between the jaw tips (m) by gripper angle (degrees)."""


@dataclass(frozen=True)
class Actuator:
    """An STS3215 servo as seen at the joint."""

    armature: float = 0.028
    damping: float = 0.60
    friction: float = 0.052
    position_gain: float = 17.8
    torque_limit: float = 2.94
    counts_per_turn: int = 4096
    backlash: float = 0.0087


ACTUATOR = Actuator()
GRIPPER_TORQUE_FRACTION = 0.5
"""LeRobot limits the gripper servo to half its torque."""

REST_POSE: tuple[float, ...] = (0.0, -1.70, 1.60, -1.00, 0.0, 0.0)
"""Where the arm parks (rad): folded back, gripper up; demonstrations start and end here. When the torque goes off,
shoulder and elbow lie on their stops. The hand sinks slowly: with the elbow on its stop it pulls at the wrist with
0.061 N·m, and the servo's friction holds 0.052."""

SERVO_RATE = 100.0
"""Goals a second that the servos get (Hz), unless the driver's ``rate`` is another."""
