"""The graph as ROS reports it while it runs on the twin, against a table written by hand.

Both ways of starting it must give the same: ``prana deploy``, and the launch file where launch_ros is importable.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import pytest
from rclpy.action import get_action_names_and_types
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from support.deploy import PRANA, launch_environment, patient_parameters, save_wandering_policy
from support.processes import Processes
from support.ros import RosProbe, wait_until
from support.tf import HAS_TF

from prana_ros.nodes.calls import NoAnswerError

NODES = {"/arm/twin", "/arm/so101_driver", "/arm/policy", "/arm/episodes"}


RELIABLE, BEST_EFFORT = "reliable", "best effort"
LATCHED = "reliable, transient local"

# topic: (type, {publisher: QoS}, {subscriber: QoS}), nodes of the graph only
TOPICS = {
    "/clock": (
        "rosgraph_msgs/msg/Clock",
        {"twin": BEST_EFFORT},
        {"so101_driver": BEST_EFFORT, "policy": BEST_EFFORT, "episodes": BEST_EFFORT},
    ),
    "/diagnostics": (
        "diagnostic_msgs/msg/DiagnosticArray",
        {"twin": RELIABLE, "so101_driver": RELIABLE, "policy": RELIABLE},
        {},
    ),
    "/arm/table/image_raw": ("sensor_msgs/msg/Image", {"twin": RELIABLE}, {"policy": BEST_EFFORT}),
    "/arm/table/image_raw/compressed": ("sensor_msgs/msg/CompressedImage", {"twin": RELIABLE}, {}),
    "/arm/table/camera_info": ("sensor_msgs/msg/CameraInfo", {"twin": LATCHED}, {}),
    "/arm/wrist/image_raw": ("sensor_msgs/msg/Image", {"twin": RELIABLE}, {"policy": BEST_EFFORT}),
    "/arm/wrist/image_raw/compressed": ("sensor_msgs/msg/CompressedImage", {"twin": RELIABLE}, {}),
    "/arm/wrist/camera_info": ("sensor_msgs/msg/CameraInfo", {"twin": LATCHED}, {}),
    "/arm/twin/markers": ("visualization_msgs/msg/MarkerArray", {"twin": LATCHED}, {}),
    "/arm/twin/outcome": ("std_msgs/msg/String", {"twin": LATCHED}, {"episodes": LATCHED}),
    "/arm/joint_states": ("sensor_msgs/msg/JointState", {"so101_driver": RELIABLE}, {"policy": BEST_EFFORT}),
    "/arm/so101_driver/commanded": ("sensor_msgs/msg/JointState", {"so101_driver": RELIABLE}, {}),
    "/arm/so101_driver/arm_state": (
        "prana_msgs/msg/ArmState",
        {"so101_driver": LATCHED},
        {"policy": LATCHED, "episodes": LATCHED},
    ),
    "/arm/robot_description": ("std_msgs/msg/String", {"so101_driver": LATCHED}, {}),
    "/arm/joint_trajectory": (
        "trajectory_msgs/msg/JointTrajectory",
        {"policy": RELIABLE},
        {"so101_driver": RELIABLE},
    ),
    "/arm/policy/chunk_report": ("prana_msgs/msg/ChunkReport", {"policy": RELIABLE}, {}),
    "/arm/policy/preview": ("visualization_msgs/msg/MarkerArray", {"policy": RELIABLE}, {}),
    "/arm/episodes/status": ("prana_msgs/msg/EpisodeStatus", {"episodes": RELIABLE}, {}),
}
if HAS_TF:
    TOPICS["/tf_static"] = ("tf2_msgs/msg/TFMessage", {"twin": LATCHED}, {})

SERVICES = {
    "/arm/twin/reset_scene": "prana_msgs/srv/ResetScene",
    "/arm/so101_driver/acquire": "prana_msgs/srv/Acquire",
    "/arm/so101_driver/release": "prana_msgs/srv/Release",
    "/arm/so101_driver/set_torque": "std_srvs/srv/SetBool",
    "/arm/so101_driver/stop": "std_srvs/srv/Trigger",
    "/arm/so101_driver/clear_stop": "std_srvs/srv/Trigger",
    "/arm/so101_driver/go_to_rest": "std_srvs/srv/Trigger",
    "/arm/policy/reset": "std_srvs/srv/Trigger",
}

ACTIONS = {"/arm/policy/run_policy": "prana_msgs/action/RunPolicy"}

PARAMETERS = {
    "/arm/twin": {
        "scene": "standard",
        "seed": 7,
        "real_time_factor": 0.2,
        "camera_width": 320,
        "camera_height": 240,
        "camera_fps": 30,
        "use_sim_time": False,
    },
    "/arm/so101_driver": {"robot_id": "twin", "rate": 100.0, "dry_run": False, "use_sim_time": True},
    "/arm/policy": {
        "device": "cpu",
        "mode": "continuous",
        "playback_rate": 1.0,
        "dry_run": False,
        "cameras": ["table", "wrist"],
        "use_sim_time": True,
    },
    "/arm/episodes": {
        "sim": True,
        "task": "Put the screwdriver in the box.",
        "episodes": 5,
        "episode_time": 100.0,
        "seed": 7,
        "use_sim_time": True,
    },
}

OPTIONS = {
    "sim": "true",
    "device": "cpu",
    "episodes": "5",
    "episode_time": "100.0",
    "namespace": "arm",
    "seed": "7",
    "real_time_factor": "0.2",
}


def start_deploy(processes: Processes, options: dict[str, str], folder: Path):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if name != "sim"]
    return processes.python(*PRANA, "deploy", "--sim", *flags, "--output", folder / "run")


def start_launch(processes: Processes, options: dict[str, str], folder: Path):
    arguments = [f"{name}:={value}" for name, value in options.items()]
    script = Path(__file__).parent / "support" / "launch_deploy.py"
    environment = {"ROS_LOG_DIR": str(folder), **launch_environment(folder / "prefix")}
    return processes.start(sys.executable, script, *arguments, env=environment)


has_launch = importlib.util.find_spec("launch_ros") is not None
needs_launch = pytest.mark.skipif(
    not has_launch, reason="launch_ros is not installed: it comes with ROS 2, not as wheels"
)
pytestmark = [
    pytest.mark.timeout(600),  # on a busy machine the graph takes minutes to come up
    pytest.mark.usefixtures("starts_processes"),
]


@pytest.fixture(
    scope="module",
    params=[pytest.param(start_deploy, id="deploy"), pytest.param(start_launch, id="launch", marks=needs_launch)],
)
def graph(request, tmp_path_factory):
    """A probe of the running graph, all of its nodes active."""
    folder = tmp_path_factory.mktemp("graph")
    processes = Processes(folder)
    options = {
        **OPTIONS,
        "policy_path": str(save_wandering_policy(folder / "policy")),
        "port": str(folder / "port"),
        "params_file": str(patient_parameters(folder)),
    }
    running = request.param(processes, options, folder)
    probe = RosProbe()
    try:
        try:
            wait_until(lambda: all(is_active(probe, n) for n in NODES), 400.0, lambda: "not all are active")
        except (AssertionError, NoAnswerError) as error:
            raise AssertionError(f"{error}; the graph said:\n{running.output}") from None
        yield probe
    finally:
        probe.close()
        # To the whole group, as the Ctrl-C of a terminal; the nodes of prana deploy are not in its group.
        os.killpg(running.pid, signal.SIGINT)
        running.wait(150.0)
        processes.end()
    assert "process has died" not in running.output
    assert "Traceback" not in running.output


def is_active(probe: RosProbe, node: str) -> bool:
    running = {f"{namespace}/{name}" for name, namespace in probe.node.get_node_names_and_namespaces()}
    return node in running and probe.state(node) == "active"


def endpoints(infos) -> dict[str, str]:
    found = {}
    for info in infos:
        if f"{info.node_namespace}/{info.node_name}" in NODES:
            words = [RELIABLE if info.qos_profile.reliability is ReliabilityPolicy.RELIABLE else BEST_EFFORT]
            if info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL:
                words.append("transient local")
            found[info.node_name] = ", ".join(words)
    return found


def own_topics(probe: RosProbe) -> dict[str, list[str]]:
    """Topics apart from those that every lifecycle node and every action has."""
    return {
        name: types
        for name, types in probe.node.get_topic_names_and_types()
        if not name.endswith(("/transition_event", "/parameter_events", "/rosout")) and "/_action/" not in name
    }


def test_these_nodes_run(graph):
    running = {f"{namespace.rstrip('/')}/{name}" for name, namespace in graph.node.get_node_names_and_namespaces()}
    assert {name for name in running if name.startswith("/arm/")} - {"/arm/prana_deploy"} == NODES


def test_these_topics_have_these_types_and_no_other_exists(graph):
    assert own_topics(graph) == {name: [type_name] for name, (type_name, _, _) in TOPICS.items()}


@pytest.mark.parametrize("topic", TOPICS)
def test_who_publishes_and_who_listens_with_which_quality_of_service(graph, topic):
    _, publishers, subscribers = TOPICS[topic]
    assert endpoints(graph.node.get_publishers_info_by_topic(topic)) == publishers
    assert endpoints(graph.node.get_subscriptions_info_by_topic(topic)) == subscribers


def test_these_services_and_actions_are_offered(graph):
    services = dict(graph.node.get_service_names_and_types())
    assert {name: services.get(name) for name in SERVICES} == {name: [kind] for name, kind in SERVICES.items()}
    actions = dict(get_action_names_and_types(graph.node))
    assert actions == {name: [kind] for name, kind in ACTIONS.items()}


@pytest.mark.parametrize("node", PARAMETERS)
def test_these_parameters_are_set(graph, node):
    from rcl_interfaces.srv import GetParameters
    from rclpy.parameter import parameter_value_to_python

    names = list(PARAMETERS[node])
    answer = graph.call(f"{node}/get_parameters", GetParameters, GetParameters.Request(names=names))
    values = map(parameter_value_to_python, answer.values)
    plain = [value if isinstance(value, str | bool | int | float) else list(value) for value in values]
    assert dict(zip(names, plain, strict=True)) == PARAMETERS[node]
