"""The checkpoint gate: does a policy fit this robot? Every mismatch is one sentence with both values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from prana_ros.inference.camera_keys import is_ros_name
from prana_ros.inference.spec import PolicySpec
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import Calibration, Units, radians_to_lerobot

STATE_SLACK = 5.0
"""LeRobot's units by which a joint may always leave its training range: a joint that hardly moved in training has
next to no range, and an arm sags a degree or two under its own weight."""

PARAMETER_FILE = "config/policy.yaml"
"""Where the user says what a checkpoint does not."""


class GateError(ValueError):
    """A checkpoint does not fit the robot; the message has a sentence for each mismatch."""


@dataclass(frozen=True)
class RobotDescription:
    """The robot that a policy is going to drive. ``None`` and empty: not known, so not compared."""

    joint_names: tuple[str, ...] = JOINT_NAMES
    units: Units | None = None
    """The user's word on the units of the policy's training data."""
    fps: float | None = None
    """The user's word on the rate of the policy's training data."""
    cameras: Mapping[str, tuple[int, int, int] | None] = field(default_factory=dict)
    """Names of the cameras that there are, with the shape (channels, height, width) of their images where known."""
    calibration_fingerprint: str | None = None


def check(spec: PolicySpec, robot: RobotDescription, allow_unfitted_noise: bool = False) -> list[str]:
    """What does not fit, as sentences; empty if everything does."""
    sentences = [*_joints(spec, robot), *_units(spec, robot), *_rate(spec, robot), *_cameras(spec, robot)]
    sentences += [f"The policy needs the input {name!r}, which this robot does not have." for name in spec.other_inputs]
    if spec.noise_problem and not allow_unfitted_noise:
        sentences.append(f"{spec.noise_problem}, or set allow_unfitted_noise in {PARAMETER_FILE}.")
    trained, present = spec.calibration_fingerprint, robot.calibration_fingerprint
    if trained and present and trained != present:
        sentences.append(f"The policy was trained under calibration {trained}, this arm's is {present}.")
    return sentences


def require(spec: PolicySpec, robot: RobotDescription, allow_unfitted_noise: bool = False) -> None:
    """Refuse a policy that does not fit.

    Raises:
        GateError: with all mismatches.
    """
    if sentences := check(spec, robot, allow_unfitted_noise):
        raise GateError(" ".join(sentences))


def check_state(
    spec: PolicySpec, state: np.ndarray, margin: float, calibration: Calibration | None = None
) -> list[str]:
    """Which joints of the live state (6,), in rad, lie outside the range that the policy was trained in.

    Args:
        margin: how far beyond the range is still accepted, as a fraction of the range's width; never less than
            ``STATE_SLACK``.
        calibration: of the arm, for policies in units of -100 … 100.
    """
    if spec.state_range is None or spec.units is None:
        return []
    lower, upper = spec.state_range.lower, spec.state_range.upper
    slack = np.maximum(margin * (upper - lower), STATE_SLACK)
    values = radians_to_lerobot(state, spec.units, calibration)
    return [
        f"Joint {name!r} is at {value:.1f}, the policy was trained from {low:.1f} to {high:.1f} (LeRobot's units)."
        for name, value, low, high, extra in zip(JOINT_NAMES, values, lower, upper, slack, strict=True)
        if not low - extra <= value <= high + extra
    ]


def _joints(spec: PolicySpec, robot: RobotDescription) -> Iterable[str]:
    size = len(robot.joint_names)
    if spec.action_size != size or spec.state_size not in (0, size):
        yield (
            f"The policy has a state of {spec.state_size} and an action of {spec.action_size} joints, "
            f"this robot has {size}."
        )
    elif spec.joint_names is None:
        yield f"The checkpoint does not say its joints' names; {_set('joint_names')} to those of its training data."
    elif spec.joint_names != robot.joint_names:
        yield f"The policy's joints are {_list(spec.joint_names)}, this robot's are {_list(robot.joint_names)}."


def _units(spec: PolicySpec, robot: RobotDescription) -> Iterable[str]:
    if spec.units is None:
        yield f"The checkpoint does not say its units; {_set('units')} to those of its training data."
    elif robot.units not in (None, spec.units):
        yield f"The policy's units are {spec.units.name.lower()}, but units is set to {robot.units.name.lower()}."
    elif spec.units is Units.M100_100 and robot.calibration_fingerprint is None:
        yield "The policy's units are m100_100, parts of each joint's range; set robot_id to the arm's calibration."


def _rate(spec: PolicySpec, robot: RobotDescription) -> Iterable[str]:
    if spec.fps is None:
        yield f"The checkpoint does not say its frames per second; {_set('fps')} to that of its training data."
    elif robot.fps is not None and robot.fps != spec.fps:
        yield f"The policy was trained at {spec.fps:g} frames per second, but fps is set to {robot.fps:g}."


def _cameras(spec: PolicySpec, robot: RobotDescription) -> Iterable[str]:
    for name in spec.cameras:
        if not is_ros_name(name):
            yield f"The policy's camera {name!r} cannot be the name of a ROS topic; {_name_camera(name)}."
    if not robot.cameras:
        return
    if missing := [name for name in spec.cameras if name not in robot.cameras and is_ros_name(name)]:
        yield (
            f"The policy needs camera {_list(missing)}, this robot has {_list(robot.cameras)}; "
            f"if it is one of these, {_name_camera(missing[0])}."
        )
    for name, shape in spec.cameras.items():
        present = robot.cameras.get(name)
        if present is not None and present != shape:
            yield f"The policy needs images of {_size(shape)} from camera {name!r}, which gives {_size(present)}."


def _name_camera(key: str) -> str:
    """How to say which of the robot's cameras is meant."""
    return f"say which camera it is with camera_keys (prana check: --camera-keys), as in table={key}"


def _set(parameter: str) -> str:
    """How the node and ``prana check`` are told what a checkpoint does not say."""
    return f"set {parameter} in {PARAMETER_FILE} (prana check: --{parameter.replace('_', '-')})"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _size(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{width}x{height}x{channels}"
