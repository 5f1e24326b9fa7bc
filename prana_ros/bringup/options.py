"""The options of ``prana deploy``, which are the launch arguments, as command-line flags."""

import argparse
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import yaml

from prana_ros.graphs.deploy import DeployOptions
from prana_ros.graphs.spec import GraphError

HELP = {
    "sim": "run on the twin instead of an arm",
    "port": "serial port of the arm; on the twin, where to put the link to its port",
    "robot_id": "id that the arm was calibrated under",
    "calibration_dir": "folder of the calibration file, if it is not LeRobot's",
    "write_calibration": "write the calibration file into motors that were calibrated differently",
    "policy_path": "folder of the policy checkpoint",
    "device": "device of the policy: cpu, cuda, cuda:1, ..., or auto for a GPU where there is one",
    "task": "the task in words",
    "episodes": "number of episodes",
    "episode_time": "seconds after which an episode ends",
    "reset_time": "seconds for a person to reset the scene between episodes of an arm",
    "cameras": "a YAML file, or YAML text, that maps each camera's name to the parameters of its node",
    "camera_keys": "the checkpoint's name of each camera that has another name there: table=Top-View,wrist=cam.high",
    "playback_rate": "speed at which chunks are played, 1 as recorded",
    "params_file": "a ROS parameter file for the nodes, on top of the packaged parameters",
    "rviz": "show robot, images and plans in RViz",
    "tf": "publish the arm's frames by robot_state_publisher: true, false, or auto where it is installed",
    "frame_prefix": "what the names of the arm's frames begin with, such as left/, so that two arms share one tree",
    "dry_run": "let the policy show its plans on ~/preview and leave the arm where it is",
    "series": "run episodes; without, the policy waits for goals of run_policy until Ctrl-C",
    "namespace": "namespace of all nodes",
    "scene": "scenes of the twin",
    "seed": "seed of the twin's first scene; every episode takes the next",
    "real_time_factor": "speed of the twin's clock, at most 1, or auto for what this machine can keep",
}
"""What each field of DeployOptions means, for the command line and the launch file alike."""
AUTO = 0.0
"""The real-time factor that is yet to be chosen for this machine."""


def add_deploy_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every deploy option: ``policy_path`` becomes ``--policy-path``."""
    for option in fields(DeployOptions):
        flag = f"--{option.name.replace('_', '-')}"
        if option.name == "cameras":
            parser.add_argument(flag, default="", metavar="YAML", help=HELP[option.name])
        elif isinstance(option.default, bool):
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, action=action, default=option.default, help=HELP[option.name])
        elif option.name == "real_time_factor":
            parser.add_argument(flag, type=factor, default=AUTO, help=f"{HELP[option.name]} (default: auto)")
        else:
            default = option.default
            parser.add_argument(
                flag, type=type(default), default=default, help=f"{HELP[option.name]} (default: {default!r})"
            )


def default_text(option: Field) -> str:
    """Return the default of an option as a launch argument."""
    if isinstance(option.default, bool):
        return str(option.default).lower()
    return {"cameras": "", "real_time_factor": "auto"}.get(option.name, str(option.default))


def factor(text: str) -> float:
    """Return the real-time factor that a text means."""
    return AUTO if text == "auto" else float(text)


def require_known(names: Iterable[str], usage: str) -> None:
    """Refuse a name that is no deploy option, which would otherwise be ignored.

    Raises:
        GraphError: one sentence with the nearest option; ``usage`` is the command that lists them all.
    """
    known = [option.name for option in fields(DeployOptions)]
    for name in names:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"{usage} lists all."
            raise GraphError(f"{name} is no launch argument: {hint}")


def deploy_options(values: Mapping[str, Any]) -> DeployOptions:
    """Return the options of parsed flags or launch arguments.

    Raises:
        GraphError: cameras is neither a YAML mapping nor a file that holds one.
    """
    known = {option.name for option in fields(DeployOptions)}
    chosen = {name: value for name, value in values.items() if name in known}
    return DeployOptions(**{**chosen, "cameras": read_cameras(chosen.get("cameras", ""))})


def options_from_text(values: Mapping[str, str]) -> DeployOptions:
    """Return the options of launch arguments, which are all text.

    Raises:
        GraphError: a value is not of the option's type.
    """
    return deploy_options({name: _typed(name, text) for name, text in values.items()})


def read_cameras(text: str) -> dict[str, Any]:
    """Return the mapping from camera names to node parameters in a YAML file or text.

    Raises:
        GraphError: it is neither.
    """
    if not text.strip():
        return {}
    source = "text of cameras"
    if text.endswith((".yaml", ".yml", ".json")):
        source = f"cameras file {text}"
        try:
            text = Path(text).expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise GraphError(f"The {source} cannot be read: {error.strerror}.") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise GraphError(f"The {source} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise GraphError(f"The {source} holds {content!r}; it must map each camera's name to its settings.")
    return content


def _typed(name: str, text: str) -> Any:
    if name == "real_time_factor" and text == "auto":
        return AUTO
    default = next(option.default for option in fields(DeployOptions) if option.name == name)
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise GraphError(f"{name} is '{text}': it must be true or false.")
        return text.lower() == "true"
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            kind = "a whole number" if isinstance(default, int) else "a number"
            raise GraphError(f"{name} is '{text}': it must be {kind}.") from None
    return text
