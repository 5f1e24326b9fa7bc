"""From what the user chose to a graph that this machine can run; what cannot run is refused before a process starts."""

import contextlib
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from huggingface_hub.constants import HF_HUB_CACHE

from prana_ros import resources
from prana_ros.bringup.options import AUTO
from prana_ros.bringup.parameters import parameters_of, with_parameter_file
from prana_ros.bringup.real_time_factor import real_time_factor
from prana_ros.graphs.deploy import DeployOptions, build_graph
from prana_ros.graphs.spec import PACKAGE, Graph, GraphError
from prana_ros.simulation.scene import DISTRIBUTIONS
from prana_ros.so101.urdf import robot_description

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def checked(options: DeployOptions) -> DeployOptions:
    """Return the options with the policy's path as it is on this machine.

    Raises:
        GraphError: an option or something on this machine is missing; one sentence.
    """
    options = dataclasses.replace(options, tf=_tf(options))
    require_packages(graph_of(dataclasses.replace(options, real_time_factor=options.real_time_factor or 1.0)))
    if options.sim and options.scene not in DISTRIBUTIONS:
        raise GraphError(f"scene is '{options.scene}': it must be one of {', '.join(DISTRIBUTIONS)}.")
    return dataclasses.replace(options, policy_path=policy_path(options.policy_path))


def with_real_time_factor(options: DeployOptions, say: Callable[[str], None]) -> DeployOptions:
    """Return the options with a real-time factor that this machine can keep, if none was chosen, and say so."""
    if options.real_time_factor != AUTO:
        return options
    factor = 1.0
    if options.sim:
        graph = graph_of(dataclasses.replace(options, real_time_factor=1.0))
        factor = real_time_factor(options.scene, parameters_of(graph, "twin"))
    if factor < 1.0:
        say(f"this machine is too slow for real time: the graph runs on /clock at {factor:g} of real time")
    return dataclasses.replace(options, real_time_factor=factor)


def graph_of(options: DeployOptions) -> Graph:
    """Return the graph, with the robot description and the user's parameters.

    Raises:
        GraphError: an option or the parameter file does not fit; one sentence.
    """
    graph = build_graph(options, robot_description() if options.tf == "true" else "")
    return with_parameter_file(graph, options.params_file)


def policy_path(text: str) -> str:
    """Return the folder that ``text`` names: one here, else one that the package ships, else a name in the Hub's cache.

    Only that there is something is looked at; the policy node says whether it can be used.

    Raises:
        GraphError: there is none.
    """
    folder = Path(text).expanduser()
    if folder.exists():
        return str(folder.absolute())
    with contextlib.suppress(FileNotFoundError):
        return str(resources.packaged(*folder.parts))
    if not _HUB_NAME.fullmatch(text):
        raise GraphError(f"policy_path is '{text}', which is no folder here: give the folder of a policy checkpoint.")
    if not Path(HF_HUB_CACHE, f"models--{text.replace('/', '--')}").is_dir():
        raise GraphError(
            f"policy_path is '{text}', which is neither a folder here nor in the Hub's cache on this machine; if it is "
            f"a name on the Hub, download it first: hf download {text}"
        )
    return text


def _tf(options: DeployOptions) -> str:
    """Whether frames are published: where nobody says, with RViz and where that can be done."""
    if options.tf != "auto":
        return options.tf
    return "true" if options.rviz or _is_installed("robot_state_publisher") else "false"


def _is_installed(package: str) -> bool:
    try:
        get_package_prefix(package)
    except (PackageNotFoundError, OSError):  # OSError: no installation was sourced at all
        return False
    return True


def require_packages(graph: Graph) -> None:
    """Refuse a graph that needs a ROS package which is not installed.

    Raises:
        GraphError: one sentence that names node and package.
    """
    for spec in graph.nodes:
        if spec.package != PACKAGE and not _is_installed(spec.package):
            raise GraphError(
                f"{spec.name} needs the ROS package {spec.package}, which is not installed here: it comes with a ROS 2 "
                "installation, not with the wheels."
            )
