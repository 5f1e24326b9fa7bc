"""The node graph as data: which nodes run, under which names and parameters, and in which order they start.

``launch/deploy.launch.py`` and ``prana deploy`` both build what :func:`build_graph` returns, so a graph that works on
the twin is the one that runs on the arm. This file knows nothing of ROS: it needs the standard library only.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prana_ros.graphs.spec import PACKAGE, Graph, GraphError, NodeSpec, PackagedPath

TWIN_ROBOT_ID = "twin"
TWIN_CAMERAS = ("table", "wrist")
DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu)(:\d+)?")
LARGEST_SEED = 2**63 - 1  # of an integer parameter in ROS
CAMERA_NAME = re.compile(r"[a-z][a-z0-9_]*")
NAMESPACE = re.compile(r"(/?[A-Za-z][A-Za-z0-9_]*)(/[A-Za-z][A-Za-z0-9_]*)*")
FRAME_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_/]*)?")
TF = ("auto", "true", "false")
RESERVED_NAMES = ("so101_driver", "policy", "twin", "episodes", "rviz2", "robot_state_publisher")


@dataclass(frozen=True)
class DeployOptions:
    """What the user chooses; the names are those of the launch arguments.

    Times are in seconds. ``cameras`` maps each camera's name to the parameters of its camera node; ``camera_keys`` is
    text, the checkpoint's name of each camera that has another name there. ``params_file`` is a ROS parameter file of
    the user's for what is no option. Without ``series`` no episodes are run, and
    the policy waits for goals of the user's. An empty ``port`` or ``robot_id`` means the twin's own in simulation and
    is refused on a real arm.
    """

    sim: bool = False
    port: str = ""
    robot_id: str = ""
    calibration_dir: str = ""
    write_calibration: bool = False
    policy_path: str = ""
    device: str = "auto"
    task: str = "Put the screwdriver in the box."
    episodes: int = 1
    episode_time: float = 30.0
    reset_time: float = 10.0
    cameras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    camera_keys: str = ""
    playback_rate: float = 1.0
    params_file: str = ""
    rviz: bool = False
    tf: str = "auto"
    frame_prefix: str = ""
    dry_run: bool = False
    series: bool = True
    namespace: str = ""
    scene: str = "standard"
    seed: int = 0
    real_time_factor: float = 1.0


def build_graph(options: DeployOptions, robot_description: str = "") -> Graph:
    """Return the graph for ``options``, or raise :class:`GraphError`.

    The twin comes first because the driver opens its port; the driver comes before the policy that commands it; the
    series of episodes comes last. The driver, which switches the torque on, is activated only once the policy has seen
    its inputs and found nothing wrong. Stopping goes backwards, so the driver can still bring the arm to rest on the
    twin.
    ``robot_description`` (URDF) is needed with ``tf`` only, which is ``true`` or ``false`` by now.
    """
    check_options(options)
    nodes = [_twin(options)] if options.sim else [_camera(options, name) for name in options.cameras]
    nodes += [_driver(options), _policy(options)]
    if options.tf == "true":
        nodes.append(_state_publisher(options, robot_description))
    if options.rviz:
        nodes.append(_rviz(options))
    if options.series:
        nodes.append(_episodes(options))
    if options.real_time_factor != 1.0:
        nodes = [_with_sim_time(node) for node in nodes]
    return Graph(namespace=_normalized(options.namespace), nodes=tuple(nodes))


def check_options(options: DeployOptions) -> None:
    """Raise :class:`GraphError` with one sentence if an option is missing or out of range."""
    _check_robot(options)
    if not options.policy_path:
        raise GraphError("policy_path is empty: give the folder of a policy checkpoint.")
    if not DEVICE.fullmatch(options.device):
        raise GraphError(f"device is '{options.device}': it must be auto, cpu, cuda, cuda:1 or the like.")
    if not 0 <= options.seed <= LARGEST_SEED:
        raise GraphError(f"seed is {options.seed}: it must be from 0 to {LARGEST_SEED}.")
    if options.episodes < 1:
        raise GraphError(f"episodes is {options.episodes}: at least 1 is needed.")
    if not 0.0 < options.episode_time < float("inf"):
        raise GraphError(f"episode_time is {options.episode_time} s: it must be above 0.")
    if not 0.0 <= options.reset_time < float("inf"):
        raise GraphError(f"reset_time is {options.reset_time} s: it must be 0 or more.")
    if not 0.0 < options.playback_rate <= 2.0:
        raise GraphError(f"playback_rate is {options.playback_rate}: it must be above 0 and at most 2.")
    if options.tf not in TF:
        raise GraphError(f"tf is '{options.tf}': it must be one of {', '.join(TF)}.")
    if not FRAME_PREFIX.fullmatch(options.frame_prefix):
        raise GraphError(
            f"frame_prefix is '{options.frame_prefix}': only letters, digits, _ and / are allowed, such as left/."
        )
    if options.namespace.strip("/") and not NAMESPACE.fullmatch(options.namespace.rstrip("/")):
        raise GraphError(
            f"namespace is '{options.namespace}': only letters, digits, _ and / are allowed, and each part begins "
            "with a letter."
        )


def _check_robot(options: DeployOptions) -> None:
    if options.sim:
        if options.cameras:
            raise GraphError("cameras is given with sim: the twin publishes its own cameras, leave cameras out.")
        if options.robot_id not in ("", TWIN_ROBOT_ID):
            raise GraphError(f"robot_id is '{options.robot_id}' with sim: the twin has its own, leave robot_id out.")
        if options.calibration_dir or options.write_calibration:
            name = "calibration_dir" if options.calibration_dir else "write_calibration"
            raise GraphError(f"{name} is given with sim: the twin has its own calibration, leave {name} out.")
        if not 0.0 < options.real_time_factor <= 1.0:
            raise GraphError(
                f"real_time_factor is {options.real_time_factor}: it must be above 0 and at most 1 (real time)."
            )
        return
    if not options.port:
        raise GraphError("port is empty: give the arm's serial port, such as /dev/ttyACM0, or choose sim.")
    if not options.robot_id:
        raise GraphError("robot_id is empty: give the id that the arm was calibrated under.")
    if not options.cameras:
        raise GraphError("cameras is empty: give each camera's name and source.")
    if options.real_time_factor != 1.0:
        raise GraphError(f"real_time_factor is {options.real_time_factor}: a real arm runs in real time, 1.")
    for name, settings in options.cameras.items():
        if not CAMERA_NAME.fullmatch(name) or name in RESERVED_NAMES:
            raise GraphError(f"cameras names a camera '{name}': lower-case letters, digits and _ are allowed, and no "
                             f"name of another node ({', '.join(RESERVED_NAMES)}).")  # fmt: skip
        if not isinstance(settings, Mapping):
            raise GraphError(f"cameras: the settings of '{name}' are {settings!r}, but must be a mapping.")
        for parameter, value in settings.items():
            if value is None or (isinstance(value, list) and None in value):
                raise GraphError(f"cameras: '{parameter}' of '{name}' has no value (null): give one or leave it out.")


def twin_port() -> str:
    """Return where the twin of this user and this ROS domain puts the symbolic link to its serial port."""
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    return str(Path(tempfile.gettempdir()) / f"prana_twin_{os.getuid()}_{domain}")


def _twin(options: DeployOptions) -> NodeSpec:
    parameters = {
        "link": options.port or twin_port(),
        "scene": options.scene,
        "seed": options.seed,
        "real_time_factor": options.real_time_factor,
        "frame_prefix": options.frame_prefix,
    }
    return NodeSpec("twin", PACKAGE, "twin", parameters, _config("twin.yaml"))


def _camera(options: DeployOptions, name: str) -> NodeSpec:
    settings = {"frame_prefix": options.frame_prefix, **options.cameras[name]}
    return NodeSpec(name, PACKAGE, "camera", settings, _config("camera.yaml"))


def _robot(options: DeployOptions) -> dict[str, Any]:
    """Whose calibration it is: LeRobot's file of the arm, or the one that comes with the twin."""
    if options.sim:
        return {"robot_id": TWIN_ROBOT_ID, "calibration_dir": _config("calibration")}
    return {"robot_id": options.robot_id, "calibration_dir": options.calibration_dir}


def _driver(options: DeployOptions) -> NodeSpec:
    port = options.port or twin_port() if options.sim else options.port
    parameters = {
        "port": port,
        "dry_run": options.dry_run,
        "write_calibration": options.write_calibration,
        **_robot(options),
    }
    # The way to rest is slow on purpose; the driver itself gives up after two minutes, with the torque on.
    return NodeSpec(
        "so101_driver",
        PACKAGE,
        "so101_driver",
        parameters,
        _config("so101_driver.yaml"),
        activates_after="policy",
        stop_time=130.0,
    )


def _policy(options: DeployOptions) -> NodeSpec:
    parameters = {
        "policy_path": options.policy_path,
        "device": options.device,
        "cameras": list(TWIN_CAMERAS if options.sim else options.cameras),
        "camera_keys": options.camera_keys,
        "playback_rate": options.playback_rate,
        "dry_run": options.dry_run,
        "frame_prefix": options.frame_prefix,
        **_robot(options),
    }
    return NodeSpec("policy", PACKAGE, "policy", parameters, _config("policy.yaml"))


def _episodes(options: DeployOptions) -> NodeSpec:
    parameters = {
        "sim": options.sim,
        "task": options.task,
        "episodes": options.episodes,
        "episode_time": options.episode_time,
        "reset_time": options.reset_time,
        "dry_run": options.dry_run,
        "seed": options.seed,
    }
    return NodeSpec("episodes", PACKAGE, "episodes", parameters, _config("episodes.yaml"), ends_graph=True)


def _state_publisher(options: DeployOptions, robot_description: str) -> NodeSpec:
    if not robot_description:
        raise GraphError("tf needs the robot description, and it is empty.")
    parameters = {"robot_description": robot_description, "frame_prefix": options.frame_prefix}
    name = "robot_state_publisher"
    return NodeSpec(name, name, name, parameters, lifecycle=False)


def _rviz(options: DeployOptions) -> NodeSpec:
    # The configuration has base_link as its fixed frame; -f is another one.
    arguments: tuple[str | PackagedPath, ...] = ("-d", _config("prana.rviz"))
    if options.frame_prefix:
        arguments += ("-f", f"{options.frame_prefix}base_link")
    return NodeSpec("rviz2", "rviz2", "rviz2", arguments=arguments, lifecycle=False)


def _with_sim_time(node: NodeSpec) -> NodeSpec:
    # The twin makes the clock, so it does not follow it.
    if node.name == "twin":
        return node
    return NodeSpec(**{**node.__dict__, "parameters": {**node.parameters, "use_sim_time": True}})


def _config(name: str) -> PackagedPath:
    return PackagedPath(f"config/{name}")


def _normalized(namespace: str) -> str:
    parts = namespace.strip("/")
    return f"/{parts}" if parts else ""
