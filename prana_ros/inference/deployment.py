"""Load a checkpoint for this robot: through the gate, or not at all."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prana_ros.inference import gate
from prana_ros.inference.camera_keys import read_camera_keys, with_robot_names
from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.denoising import AS_SAVED, Denoising
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.so101.calibration import calibration_path, fingerprint, read_calibration
from prana_ros.so101.units import Calibration, Units


@dataclass(frozen=True)
class DeclaredFacts:
    """What the user says of robot and training data; empty and 0: nothing.

    ``units`` is the lower-case name of a ``Units``; ``robot_id`` and ``calibration_dir`` name the arm's calibration as
    LeRobot does; ``camera_keys`` is the text that ``camera_keys.read_camera_keys`` takes.
    """

    joint_names: tuple[str, ...] = ()
    units: str = ""
    fps: float = 0.0
    cameras: tuple[str, ...] = ()
    camera_keys: str = ""
    robot_id: str = ""
    calibration_dir: str | Path = ""


def load_for_robot(
    path: str | Path, device: str, facts: DeclaredFacts, denoising: Denoising = AS_SAVED
) -> tuple[LoadedPolicy, gate.RobotDescription]:
    """Load a policy and describe the robot that it meets; comparing them is the gate's task.

    Raises:
        ValueError: if the checkpoint or the calibration cannot be read, the policy cannot denoise as it shall, or
            ``camera_keys`` does not suit the cameras; one sentence.
    """
    keys = read_camera_keys(facts.camera_keys)
    calibration = _calibration(facts)
    units = Units[facts.units.upper()] if facts.units else None
    policy = load_policy(
        path,
        device,
        joint_names=_given(facts.joint_names),
        units=units,
        fps=facts.fps or None,
        calibration=calibration,
        denoising=denoising,
    )
    policy = with_robot_names(policy, keys, _given(facts.cameras))
    robot = gate.RobotDescription(
        units=units,
        fps=facts.fps or None,
        cameras=dict.fromkeys(_given(facts.cameras)),
        calibration_fingerprint=fingerprint(calibration) if calibration else None,
    )
    return policy, robot


def _given(names: Iterable[str]) -> tuple[str, ...]:
    """The names that are not empty: a ROS parameter cannot be an empty list of strings."""
    return tuple(name for name in names if name)


def _calibration(facts: DeclaredFacts) -> Calibration | None:
    if not facts.robot_id:
        return None
    return read_calibration(calibration_path(facts.robot_id, facts.calibration_dir or None))
