"""The packaged parameter files against what the nodes declare."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from prana_ros.resources import packaged
from prana_ros.so101.calibration import read_calibration, twin_calibration
from prana_ros.so101.model import REST_POSE

NODES = ("camera", "episodes", "policy", "so101_driver", "twin")
START = 300.0
"""Seconds in which a node that imports PyTorch starts on a machine that has other things to do."""


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", NODES)
def test_every_parameter_of_a_file_is_declared_by_its_node(name, ros, processes):
    from rcl_interfaces.srv import ListParameters

    path = packaged("config", f"{name}.yaml")
    processes.python("-m", f"prana_ros.nodes.{name}", "--ros-args", "-r", f"__node:={name}", "--params-file", path)
    declared = ros.call(f"/{name}/list_parameters", ListParameters, timeout=START).result.names
    assert set(yaml.safe_load(path.read_text())["/**"]["ros__parameters"]) <= set(declared)


def test_the_packaged_calibration_is_the_twins():
    assert read_calibration(packaged("config", "calibration", "twin.json")) == twin_calibration()


def test_the_packaged_rest_pose_is_that_of_the_figures():
    parameters = yaml.safe_load(packaged("config", "so101_driver.yaml").read_text())["/**"]["ros__parameters"]
    assert tuple(parameters["rest_pose"]) == REST_POSE


def test_rviz_and_rqt_show_topics_that_the_graph_has():
    rviz = yaml.safe_load(packaged("config", "prana.rviz").read_text())
    topics = {display["Topic"]["Value"] for display in rviz["Visualization Manager"]["Displays"] if "Topic" in display}
    assert topics == {"policy/preview", "twin/markers", "table/image_raw", "wrist/image_raw"}
    plugins = json.loads(packaged("config", "prana.perspective").read_text())["groups"]["pluginmanager"]
    running = ast.literal_eval(plugins["keys"]["running-plugins"]["repr"])
    instances = {f"plugin__{name.replace('/', '__')}__{i}" for name, numbers in running.items() for i in numbers}
    assert instances == set(plugins["groups"])
    for file in ("prana.rviz", "prana.perspective"):
        assert not re.search(r"['\" ]/[a-z]", packaged("config", file).read_text()), (
            "an absolute name has one namespace"
        )


def test_every_packaged_yaml_file_is_yaml():
    for path in Path(packaged("config")).glob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict), path
