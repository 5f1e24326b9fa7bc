import dataclasses

import pytest

from prana_ros.graphs.deploy import DeployOptions, build_graph
from prana_ros.graphs.spec import GraphError

ARM = DeployOptions(
    port="/dev/ttyACM0",
    robot_id="my_arm",
    policy_path="checkpoint",
    cameras={"table": {"path": "table.mp4"}, "wrist": {"path": "wrist.mp4", "fps": 10.0}},
)
TWIN = DeployOptions(sim=True, policy_path="checkpoint", port="twin_port")


def names(options: DeployOptions, **more: str) -> list[str]:
    return [node.name for node in build_graph(options, **more).nodes]


def test_the_arm_has_a_node_per_camera_and_no_twin():
    assert names(ARM) == ["table", "wrist", "so101_driver", "policy", "episodes"]


def test_the_twin_brings_its_own_cameras():
    assert names(TWIN) == ["twin", "so101_driver", "policy", "episodes"]


def test_nodes_stop_in_the_opposite_order_so_that_the_driver_outlives_the_policy_and_the_twin_the_driver():
    graph = build_graph(TWIN)
    assert [node.name for node in graph.stop_order] == ["episodes", "policy", "so101_driver", "twin"]


def test_without_a_series_there_is_everything_but_the_episodes():
    assert names(dataclasses.replace(TWIN, series=False)) == ["twin", "so101_driver", "policy"]
    assert names(dataclasses.replace(ARM, series=False)) == ["table", "wrist", "so101_driver", "policy"]


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_the_devices_of_pytorch_are_accepted(device):
    policy = next(node for node in build_graph(dataclasses.replace(TWIN, device=device)).nodes if node.name == "policy")
    assert policy.parameters["device"] == device


def test_the_driver_switches_torque_on_only_once_the_policy_is_active():
    steps = [(node.name, verb) for node, verb in build_graph(TWIN).transitions]
    assert steps == [
        ("twin", "configure"),
        ("twin", "activate"),
        ("so101_driver", "configure"),
        ("policy", "configure"),
        ("policy", "activate"),
        ("so101_driver", "activate"),
        ("episodes", "configure"),
        ("episodes", "activate"),
    ]


def test_every_lifecycle_node_is_configured_and_activated_once():
    graph = build_graph(dataclasses.replace(ARM, rviz=True), "<robot/>")
    steps = [(node.name, verb) for node, verb in graph.transitions]
    expected = {(node.name, verb) for node in graph.nodes if node.lifecycle for verb in ("configure", "activate")}
    assert len(steps) == len(expected)
    assert set(steps) == expected


def test_driver_and_twin_meet_at_the_same_port():
    for options in (TWIN, dataclasses.replace(TWIN, port="")):
        twin, driver = build_graph(options).nodes[:2]
        assert twin.parameters["link"] == driver.parameters["port"] != ""


def test_a_driver_of_an_arm_looks_for_the_calibration_where_lerobot_keeps_it():
    driver = build_graph(ARM).nodes[2]
    assert driver.parameters == {
        "port": "/dev/ttyACM0",
        "robot_id": "my_arm",
        "calibration_dir": "",
        "dry_run": False,
        "write_calibration": False,
    }


def test_driver_and_policy_read_one_calibration_and_only_the_driver_may_write_it():
    options = dataclasses.replace(ARM, calibration_dir="/arms", write_calibration=True)
    nodes = {node.name: node.parameters for node in build_graph(options).nodes}
    for name in ("so101_driver", "policy"):
        assert (nodes[name]["robot_id"], nodes[name]["calibration_dir"]) == ("my_arm", "/arms")
    assert nodes["so101_driver"]["write_calibration"] is True
    assert "write_calibration" not in nodes["policy"]


def test_below_real_time_every_node_but_the_twin_follows_the_clock():
    nodes = build_graph(dataclasses.replace(TWIN, real_time_factor=0.5)).nodes
    assert {node.name: node.parameters.get("use_sim_time") for node in nodes} == {
        "twin": None,
        "so101_driver": True,
        "policy": True,
        "episodes": True,
    }
    assert nodes[0].parameters["real_time_factor"] == 0.5


def test_in_real_time_no_node_follows_the_clock():
    assert not any("use_sim_time" in node.parameters for node in build_graph(TWIN).nodes)


def test_dry_run_reaches_the_driver_the_policy_and_the_series():
    nodes = {node.name: node for node in build_graph(dataclasses.replace(ARM, dry_run=True)).nodes}
    assert all(nodes[name].parameters["dry_run"] is True for name in ("so101_driver", "policy", "episodes"))


def test_the_policy_is_told_the_cameras_and_their_keys_in_the_checkpoint():
    keys = "table=Top-View,wrist=cam.high"
    for options in (ARM, TWIN):
        nodes = {node.name: node for node in build_graph(dataclasses.replace(options, camera_keys=keys)).nodes}
        assert nodes["policy"].parameters["cameras"] == ["table", "wrist"]
        assert nodes["policy"].parameters["camera_keys"] == keys


def test_the_frames_of_the_arm_come_from_the_robot_state_publisher_with_or_without_rviz():
    graph = build_graph(dataclasses.replace(TWIN, tf="true"), robot_description="<robot/>")
    assert names(dataclasses.replace(TWIN, rviz=True)) == ["twin", "so101_driver", "policy", "rviz2", "episodes"]
    assert names(dataclasses.replace(TWIN, tf="true", rviz=True), robot_description="<robot/>") == [
        "twin", "so101_driver", "policy", "robot_state_publisher", "rviz2", "episodes",
    ]  # fmt: skip
    publisher = next(node for node in graph.nodes if node.name == "robot_state_publisher")
    assert publisher.parameters["robot_description"] == "<robot/>"
    assert not publisher.lifecycle


def test_a_frame_prefix_reaches_everybody_who_names_a_frame():
    for options in (TWIN, ARM):
        chosen = dataclasses.replace(options, frame_prefix="left/", tf="true", rviz=True)
        nodes = {node.name: node for node in build_graph(chosen, "<robot/>").nodes}
        rviz = nodes.pop("rviz2")
        assert rviz.arguments[-2:] == ("-f", "left/base_link")
        told = {name for name, node in nodes.items() if node.parameters.get("frame_prefix") == "left/"}
        assert told == set(nodes) - {"so101_driver", "episodes"}


@pytest.mark.parametrize(
    ("namespace", "full_name"), [("", "/policy"), ("left", "/left/policy"), ("/lab/left/", "/lab/left/policy")]
)
def test_a_namespace_precedes_every_name(namespace, full_name):
    graph = build_graph(dataclasses.replace(TWIN, namespace=namespace))
    assert full_name in [graph.full_name(node) for node in graph.nodes]


@pytest.mark.parametrize(
    ("options", "change", "words"),
    [
        (ARM, {"port": ""}, "port is empty"),
        (ARM, {"robot_id": ""}, "robot_id is empty"),
        (ARM, {"cameras": {}}, "cameras is empty"),
        (ARM, {"cameras": {"policy": {}}}, "'policy'"),
        (ARM, {"cameras": {"Table cam": {}}}, "'Table cam'"),
        (ARM, {"cameras": {"table": "video.mp4"}}, "'video.mp4'"),
        (ARM, {"cameras": {"table": {"path": None}}}, "'path' of 'table' has no value (null)"),
        (ARM, {"cameras": {"table": {"path": "a", "distortion": [0.1, None]}}}, "'distortion' of 'table'"),
        (ARM, {"device": "gpu"}, "device is 'gpu'"),
        (ARM, {"device": "cuda:"}, "device is 'cuda:'"),
        (TWIN, {"seed": -1}, "seed is -1"),
        (TWIN, {"seed": 2**63}, "seed is 9223372036854775808"),
        (ARM, {"real_time_factor": 0.5}, "real_time_factor is 0.5"),
        (ARM, {"policy_path": ""}, "policy_path is empty"),
        (ARM, {"episodes": 0}, "episodes is 0"),
        (ARM, {"episode_time": 0.0}, "episode_time is 0.0"),
        (ARM, {"episode_time": float("nan")}, "episode_time is nan"),
        (ARM, {"reset_time": -1.0}, "reset_time is -1.0"),
        (ARM, {"playback_rate": 0.0}, "playback_rate is 0.0"),
        (ARM, {"namespace": "2nd arm"}, "'2nd arm'"),
        (TWIN, {"cameras": {"table": {}}}, "cameras is given with sim"),
        (TWIN, {"robot_id": "my_arm"}, "robot_id is 'my_arm' with sim"),
        (TWIN, {"calibration_dir": "/arms"}, "calibration_dir is given with sim"),
        (TWIN, {"write_calibration": True}, "write_calibration is given with sim"),
        (TWIN, {"real_time_factor": 1.5}, "real_time_factor is 1.5"),
        (TWIN, {"tf": "true"}, "robot description"),
        (TWIN, {"tf": "yes"}, "tf is 'yes': it must be one of auto, true, false."),
        (TWIN, {"frame_prefix": "left arm"}, "frame_prefix is 'left arm'"),
    ],
)
def test_what_no_graph_can_be_built_from_is_refused_in_one_sentence_with_the_value(options, change, words):
    with pytest.raises(GraphError) as refusal:
        build_graph(dataclasses.replace(options, **change))
    assert words in str(refusal.value)
    assert str(refusal.value).count("\n") == 0
    assert str(refusal.value).endswith(".")
