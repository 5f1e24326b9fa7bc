"""The whole graph on the twin, in tests: a policy that fits it, and commands that start it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from lerobot.configs.types import FeatureType, PolicyFeature

from prana_ros.graphs.spec import PACKAGE
from prana_ros.so101.model import REST_POSE
from prana_ros.so101.units import radians_to_lerobot
from support import checkpoints

PRANA = ("-c", "from prana_ros.cli import main; main()")
"""Arguments of Python that run the ``prana`` command of this checkout."""


PATIENCE = {
    "policy": {"max_input_age": 5.0, "input_timeout": 10.0, "activation_timeout": 60.0, "heartbeat_timeout": 30.0},
    "so101_driver": {"communication_timeout": 5.0},
}
"""Limits for a machine that has other things to do: in these tests slowness is not what is tested."""


def patient_parameters(folder: Path) -> Path:
    """Write a parameter file for ``params_file``."""
    path = folder / "patience.yaml"
    path.write_text(yaml.safe_dump({node: {"ros__parameters": values} for node, values in PATIENCE.items()}))
    return path


def save_wandering_policy(folder: Path) -> Path:
    """Random weights that take the twin's images and move the arm a few degrees around its rest pose."""
    image = PolicyFeature(FeatureType.VISUAL, (3, 240, 320))
    inputs = {**checkpoints.FEATURES, **{f"observation.images.{name}": image for name in checkpoints.CAMERAS}}
    with above_rest():
        return checkpoints.save_prana(folder, input_features=inputs, state_min=[-400.0] * 6, state_max=[400.0] * 6)


def save_wandering_act(folder: Path) -> Path:
    """The same of LeRobot's ACT, on images of another size, which says nothing of its joints, units and rate."""
    with above_rest():
        return checkpoints.save_act(folder)


@contextmanager
def above_rest() -> Iterator[None]:
    """Made checkpoints act around the rest pose, a little above it."""
    pose = radians_to_lerobot(np.add(REST_POSE, (0.0, 0.3, -0.3, 0.0, 0.0, 0.3)))
    with patch.object(checkpoints, "MEAN", pose), patch.object(checkpoints, "STD", np.full(6, 4.0)):
        yield


def launch_environment(folder: Path) -> dict[str, str]:
    """Environment in which launch finds the nodes: an installation of ours, or one made in ``folder`` that runs this
    checkout's modules with this Python."""
    try:
        get_package_prefix(PACKAGE)
    except (PackageNotFoundError, OSError):
        index = folder / "share" / "ament_index" / "resource_index" / "packages"
        executables = folder / "lib" / PACKAGE
        for directory in (index, executables, folder / "share" / PACKAGE):
            directory.mkdir(parents=True)
        (index / PACKAGE).touch()
        for name in ("twin", "so101_driver", "policy", "episodes", "camera"):
            script = executables / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -m {PACKAGE}.nodes.start {name} "$@"\n')
            script.chmod(0o755)
        return {"AMENT_PREFIX_PATH": str(folder)}
    return {}
