"""The options of ``prana deploy``, which are the launch arguments, as command-line flags."""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from prana_ros.graph import DeployOptions, GraphError

HELP = {
    "sim": "run on the twin instead of an arm",
    "port": "serial port of the arm; on the twin, where to put the link to its port",
    "robot_id": "id that the arm was calibrated under",
    "policy_path": "folder of the policy checkpoint",
    "device": "device of the policy: cpu, cuda, cuda:1, ..., or auto for a GPU where there is one",
    "task": "the task in words",
    "episodes": "number of episodes",
    "episode_time": "seconds after which an episode ends",
    "reset_time": "seconds for a person to reset the scene between episodes of an arm",
    "cameras": "a YAML file, or YAML text, that maps each camera's name to the parameters of its node",
    "playback_rate": "speed at which chunks are played, 1 as recorded",
    "rviz": "show robot, images and plans in RViz",
    "dry_run": "let the policy show its plans on ~/preview and leave the arm where it is",
    "namespace": "namespace of all nodes",
    "scene": "scenes of the twin",
    "seed": "seed of the twin's first scene; every episode takes the next",
    "real_time_factor": "speed of the twin's clock, at most 1",
}
"""What each field of DeployOptions means, for the command line and the launch file alike."""


def add_deploy_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every deploy option: ``policy_path`` becomes ``--policy-path``."""
    for option in fields(DeployOptions):
        flag = f"--{option.name.replace('_', '-')}"
        if option.name == "cameras":
            parser.add_argument(flag, default="", metavar="YAML", help=HELP[option.name])
        elif isinstance(option.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=False, help=HELP[option.name])
        else:
            default, shown = option.default, repr(option.default)
            if option.name == "real_time_factor":
                default, shown = 0.0, "0, what this machine can keep"
            parser.add_argument(
                flag, type=type(default), default=default, help=f"{HELP[option.name]} (default: {shown})"
            )


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
