"""``prana check``: what a policy checkpoint expects, and whether it fits this robot. No ROS."""

import argparse
from collections.abc import Iterator

from prana_ros.bringup.options import HELP
from prana_ros.inference import gate
from prana_ros.inference.deployment import DeclaredFacts, load_for_robot
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.inference.spec import PolicySpec
from prana_ros.inference.trial import made_up_history, trial_prediction
from prana_ros.so101.units import Units

UNKNOWN = "not said by the checkpoint"
BACKBONES = ("backbone", "vision_backbone")
"""What PRANA's and LeRobot's configurations call the network that reads the images."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "check", help="tell what a policy expects", description=__doc__.partition(":")[2].strip()
    )
    parser.add_argument("checkpoint", help="folder of a LeRobot checkpoint")
    parser.add_argument("--cameras", default="", metavar="A,B", help="names of the robot's cameras")
    parser.add_argument("--camera-keys", default="", metavar="A=KEY,B=KEY", help=HELP["camera_keys"])
    parser.add_argument("--robot-id", default="", metavar="ID", help="name of the arm's calibration")
    parser.add_argument(
        "--calibration-dir", default="", metavar="PATH", help="folder of calibrations, LeRobot's if empty"
    )
    told = parser.add_argument_group("what a checkpoint of another kind than PRANA's does not say")
    told.add_argument("--joint-names", default="", metavar="A,B", help="joints of the training data, in order")
    told.add_argument("--units", default="", choices=[unit.name.lower() for unit in Units], help="of the training data")
    told.add_argument("--fps", type=float, default=0.0, help="frames per second of the training data")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what the checkpoint says; return 1 if it does not fit.

    Raises:
        ValueError: if the checkpoint or the calibration cannot be read.
    """
    facts = DeclaredFacts(
        joint_names=tuple(arguments.joint_names.split(",")),
        units=arguments.units,
        fps=arguments.fps,
        cameras=tuple(arguments.cameras.split(",")),
        camera_keys=arguments.camera_keys,
        robot_id=arguments.robot_id,
        calibration_dir=arguments.calibration_dir,
    )
    policy, robot = load_for_robot(arguments.checkpoint, "cpu", facts)
    for name, value in (*_expectations(policy.spec), *_network(policy)):
        print(f"{name:<14}{value}")
    sentences = gate.check(policy.spec, robot) + trial_prediction(policy, made_up_history(policy.spec))
    for sentence in sentences:
        print(f"does not fit  {sentence}")
    if not sentences:
        print("fits          yes" if robot.cameras else "fits          yes, if the robot has these cameras")
    return 1 if sentences else 0


def _expectations(spec: PolicySpec) -> Iterator[tuple[str, str]]:
    """What to print of a spec, line by line."""
    yield "policy", spec.kind
    yield "joints", ", ".join(spec.joint_names or ()) or UNKNOWN
    yield "units", spec.units.name.lower() if spec.units else UNKNOWN
    yield "rate", f"{spec.fps:g} actions a second" if spec.fps else UNKNOWN
    for name, (channels, height, width) in spec.cameras.items():
        yield "camera", f"{name}, {width}x{height}x{channels}"
    for name in spec.other_inputs:
        yield "input", name
    yield "chunk", f"{spec.chunk_size} actions, {'goes on from' if spec.takes_prefix else 'ignores'} the running plan"
    if spec.observation_steps > 1:
        yield "history", f"{spec.observation_steps} observations"
    if spec.denoising_steps:
        yield "denoising", f"{spec.denoising_steps} steps"
    if spec.state_range is not None:
        pairs = zip(spec.state_range.lower, spec.state_range.upper, strict=True)
        yield "trained from", ", ".join(f"{low:.0f} to {high:.0f}" for low, high in pairs) + " (in its units)"
    yield "noise", spec.noise_problem or ("no objection" if spec.denoising_steps else "none")
    yield "calibration", spec.calibration_fingerprint or UNKNOWN


def _network(policy: LoadedPolicy) -> Iterator[tuple[str, str]]:
    """Size and image backbone of the network, the latter where its configuration names one."""
    parameters = sum(parameter.numel() for parameter in policy.policy.parameters())
    yield "parameters", f"{parameters / 1e6:.1f} million"
    config = policy.policy.config
    backbone = next((value for name in BACKBONES if (value := getattr(config, name, None))), None)
    if backbone is not None:
        size = getattr(config, "image_size", None)
        yield "backbone", f"{backbone} at {size}x{size}" if size else str(backbone)
