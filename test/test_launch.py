"""``ros2 launch prana_ros deploy.launch.py`` itself: what it refuses, how it ends, and what it leaves behind."""

import importlib.util
import json
import os
import re
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from support.deploy import launch_environment, save_wandering_policy
from support.ros import wait_until

from prana_ros.nodes import qos
from prana_ros.resources import packaged
from prana_ros.so101.model import REST_POSE

pytestmark = [
    pytest.mark.usefixtures("starts_processes"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        importlib.util.find_spec("ros2launch") is None,
        reason="ros2 launch is not installed: it comes with ROS 2, not as wheels",
    ),
]

UP = 300.0
"""Seconds in which a graph comes up on a machine that has other things to do."""
SCRIPT = Path(__file__).parent / "support" / "launch_deploy.py"


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_wandering_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def launch(processes, tmp_path):
    """Start ``ros2 launch`` with arguments."""
    environment = {"ROS_LOG_DIR": str(tmp_path), **launch_environment(tmp_path / "prefix")}

    def start(**arguments: object):
        text = [f"{name}:={value}" for name, value in arguments.items()]
        return processes.start(sys.executable, SCRIPT, *text, env=environment)

    return start


@pytest.fixture
def on_twin(launch, policy, tmp_path):
    """Launch on the twin, at a speed that a loaded machine keeps."""

    def start(**arguments: object):
        common = {"sim": "true", "device": "cpu", "port": tmp_path / "port", "real_time_factor": 0.3}
        return launch(**{**common, "policy_path": policy, "episode_time": 60.0, **arguments})

    return start


@pytest.fixture
def raised(ros):
    """Wait until the arm has left its rest pose; then say where it was last seen."""
    joints = ros.collect("joint_states", JointState, qos.JOINT_STATE_SUB)

    def distance() -> float:
        return float(np.abs(np.subtract(joints.messages[-1].position, REST_POSE)).max())

    def wait():
        wait_until(lambda: joints.messages and distance() > 0.25, UP, lambda: "the arm did not leave its rest pose")
        return distance

    return wait


def node_processes(launch) -> dict[str, int]:
    """The process ids of the nodes below ``ros2 launch``, by node name."""
    children = Path(f"/proc/{launch.pid}/task/{launch.pid}/children").read_text().split()
    names = {child: re.search(r"__node:=(\w+)", Path(f"/proc/{child}/cmdline").read_text()) for child in children}
    return {name.group(1): int(child) for child, name in names.items() if name}


def imports_pytorch(launch) -> bool:
    policy = node_processes(launch).get("policy")
    return policy is not None and "libtorch_cpu" in Path(f"/proc/{policy}/maps").read_text()


def alive(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]


def refused(launch, sentence: str) -> None:
    """Assert that launch has refused to start anything, in one sentence."""
    launch.must_end(1, within=120.0)
    (line,) = [line for line in launch.output.splitlines() if "[ERROR]" in line]
    assert re.search(sentence, line), line
    assert "process started" not in launch.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"dryrun": "true"}, r"dryrun is no launch argument: did you mean dry_run\?"),
        ({"episode": 2}, r"episode is no launch argument: did you mean episodes\?"),
        ({"episodes": "two"}, r"episodes is 'two': it must be a whole number\."),
        ({"policy_path": "no_such_policy"}, r"policy_path is 'no_such_policy', which is no folder here"),
        ({"scene": "easy"}, r"scene is 'easy': it must be one of"),
        ({"device": "cdua"}, r"device is 'cdua'"),
        ({"params_file": "no_such_file.yaml"}, r"params_file no_such_file.yaml cannot be read"),
        ({"tf": "yes"}, r"tf is 'yes': it must be one of auto, true, false\."),
        ({"frame_prefix": "left arm"}, r"frame_prefix is 'left arm'"),
        (
            {"sim": "false", "real_time_factor": 1, "robot_id": "a", "cameras": "{table: {path: null}}"},
            "'path' of 'table' has no value",
        ),
    ],
)
def test_arguments_that_cannot_be_run_start_nothing(on_twin, arguments, sentence):
    refused(on_twin(**arguments), sentence)


def test_a_launch_file_that_includes_ours_has_arguments_of_its_own(processes, tmp_path):
    parent = tmp_path / "deploy.launch.py"
    parent.write_text(
        "from launch import LaunchDescription\n"
        "from launch.actions import IncludeLaunchDescription\n"
        "from launch.launch_description_sources import PythonLaunchDescriptionSource\n"
        "def generate_launch_description():\n"
        f"    ours = PythonLaunchDescriptionSource({str(packaged('launch', 'deploy.launch.py'))!r})\n"
        "    arguments = {'sim': 'true', 'policy_path': 'no_such_policy'}.items()\n"
        "    return LaunchDescription([IncludeLaunchDescription(ours, launch_arguments=arguments)])\n"
    )
    ros2 = "import sys; from ros2cli.cli import main; sys.exit(main())"
    refused(processes.python("-c", ros2, "launch", parent, "my_arm:=left"), "policy_path is 'no_such_policy'")


def test_rviz_without_rviz_starts_nothing(on_twin):
    if importlib.util.find_spec("rviz_common"):
        pytest.skip("RViz is installed")
    refused(on_twin(rviz="true"), "needs the ROS package")


def test_a_node_that_refuses_ends_launch_with_its_sentence_and_without_a_traceback(launch, policy, tmp_path):
    """The table camera refuses while the policy node still imports PyTorch."""
    image = tmp_path / "wrist.png"
    cv2.imwrite(str(image), np.zeros((24, 32, 3), np.uint8))
    cameras = {"table": {"path": "no_such_image.png"}, "wrist": {"path": str(image)}}
    running = launch(port="/dev/null", robot_id="arm", cameras=json.dumps(cameras), policy_path=policy)
    running.must_end(1, within=UP)
    assert re.search(r"\[launch\]: .*table: cannot configure: .*no_such_image.png", running.output), running.output
    assert "Traceback" not in running.output
    assert "KeyboardInterrupt" not in running.output


def test_a_series_that_is_over_ends_launch_with_0_and_the_chosen_speed_is_said(on_twin):
    running = on_twin(real_time_factor="auto", episode_time=3.0)
    running.must_end(0, within=UP)
    assert re.search(r"episode 1 of 1: \w+$", running.output, re.MULTILINE)
    assert "the series of episodes is over" in running.output


def test_a_node_that_is_killed_is_named_and_the_arm_is_brought_to_rest(on_twin, raised):
    running = on_twin()
    distance = raised()
    pids = node_processes(running)
    os.kill(pids["policy"], signal.SIGKILL)
    running.must_end(1, within=200.0)
    assert f"policy (process {pids['policy']}) was killed by SIGKILL (9)" in running.output
    assert distance() < 0.15
    assert not alive(pids)


def test_an_arm_that_the_driver_stops_ends_launch_with_1(on_twin, ros, raised):
    running = on_twin(episodes=3)
    raised()
    assert ros.call("so101_driver/stop", Trigger).success
    running.must_end(1, within=200.0)
    assert re.search(r"episode 1 of 3: stopped: .*The stop service was called", running.output)
    assert "episode 2" not in running.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_launch_that_is_gone_leaves_an_arm_at_rest_and_nothing_running(on_twin, raised, number):
    running = on_twin()
    distance = raised()
    pids = node_processes(running)
    assert set(pids) == {"twin", "so101_driver", "policy", "episodes"}
    running.send(number)
    wait_until(lambda: not alive(pids), 200.0, lambda: f"{alive(pids)} are left running:\n{running.output}")
    assert distance() < 0.15


def test_ctrl_c_while_a_node_imports_pytorch_is_quiet(on_twin):
    running = on_twin()
    wait_until(lambda: imports_pytorch(running), 60.0, lambda: running.output)
    os.killpg(running.pid, signal.SIGINT)
    running.must_end(0, within=60.0)
    assert "Traceback" not in running.output
    assert "KeyboardInterrupt" not in running.output


def test_without_a_series_launch_stays_until_ctrl_c_and_parameters_are_the_users(on_twin, ros, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("policy: {ros__parameters: {mode: rolling, execute_steps: 2, overlap_steps: 3}}")
    running = on_twin(series="false", params_file=own, frame_prefix="left/")
    wait_until(
        lambda: "so101_driver" in ros.node.get_node_names() and ros.state("so101_driver") == "active",
        UP,
        lambda: running.output,
    )
    pids = node_processes(running)
    assert set(pids) == {"twin", "so101_driver", "policy"}
    request = GetParameters.Request(names=["mode", "execute_steps", "frame_prefix"])
    mode, steps, prefix = ros.call("policy/get_parameters", GetParameters, request).values
    assert (mode.string_value, steps.integer_value, prefix.string_value) == ("rolling", 2, "left/")
    os.killpg(running.pid, signal.SIGINT)
    running.must_end(0, within=200.0)
    assert not alive(pids)
