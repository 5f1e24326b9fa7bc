import dataclasses
import re

import pytest

from prana_ros.bringup import preparation
from prana_ros.bringup.options import AUTO
from prana_ros.graphs.deploy import DeployOptions
from prana_ros.graphs.spec import Graph, GraphError, NodeSpec
from prana_ros.resources import packaged

TWIN = DeployOptions(sim=True, policy_path="checkpoints/twin_v2", real_time_factor=AUTO)


def test_a_packaged_checkpoint_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert preparation.checked(TWIN).policy_path == str(packaged("checkpoints", "twin_v2"))


def test_a_folder_here_comes_before_a_packaged_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoints" / "twin_v2"
    folder.mkdir(parents=True)
    assert preparation.checked(TWIN).policy_path == str(folder)


def test_a_name_in_the_cache_of_the_hub_is_left_to_the_policy_node(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--someone--policy").mkdir()
    assert preparation.policy_path("someone/policy") == "someone/policy"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"policy_path": "no_such_policy"},
            "policy_path is 'no_such_policy', which is no folder here: give the folder",
        ),
        ({"policy_path": "someone/policy"}, "download it first: hf download someone/policy"),
        ({"scene": "easy"}, "scene is 'easy': it must be one of standard, hard, shifted."),
        ({"seed": -1}, "seed is -1: it must be from 0 to"),
        ({"device": "cdua"}, "device is 'cdua': it must be auto, cpu, cuda, cuda:1 or the like."),
    ],
)
def test_what_cannot_run_here_is_refused_with_its_value(tmp_path, monkeypatch, change, sentence):
    monkeypatch.setattr(preparation, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(GraphError, match=re.escape(sentence)):
        preparation.checked(dataclasses.replace(TWIN, **change))


def test_a_package_that_is_not_installed_is_named_with_its_node():
    rviz = NodeSpec("rviz2", "no_such_package", "rviz2", lifecycle=False)
    with pytest.raises(GraphError, match="rviz2 needs the ROS package no_such_package, which is not installed here"):
        preparation.require_packages(Graph("", (rviz,)))


def test_the_speed_is_measured_with_the_cameras_that_the_twin_will_have(tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(preparation, "real_time_factor", lambda scene, cameras: measured.append(cameras) or 1.0)
    preparation.with_real_time_factor(TWIN, print)
    (tmp_path / "mine.yaml").write_text("twin: {ros__parameters: {camera_width: 640}}")
    preparation.with_real_time_factor(dataclasses.replace(TWIN, params_file=str(tmp_path / "mine.yaml")), print)
    sizes = [(twin["camera_width"], twin["camera_height"], twin["camera_fps"]) for twin in measured]
    assert sizes == [(320, 240, 30), (640, 240, 30)]


def test_the_speed_is_chosen_for_this_machine_and_said_where_it_is_below_real_time(monkeypatch):
    monkeypatch.setattr(preparation, "real_time_factor", lambda scene, cameras: 0.35)
    said = []
    assert preparation.with_real_time_factor(TWIN, said.append).real_time_factor == 0.35
    assert said == ["this machine is too slow for real time: the graph runs on /clock at 0.35 of real time"]
    chosen = dataclasses.replace(TWIN, real_time_factor=0.5)
    assert preparation.with_real_time_factor(chosen, said.append) == chosen


def test_an_arm_runs_in_real_time_without_a_measurement(monkeypatch):
    monkeypatch.delattr(preparation, "real_time_factor")
    arm = dataclasses.replace(TWIN, sim=False)
    assert preparation.with_real_time_factor(arm, print).real_time_factor == 1.0


@pytest.mark.parametrize("installed", [True, False])
def test_frames_are_published_with_rviz_or_where_that_can_be_done_unless_somebody_says(monkeypatch, installed):
    def prefix(package):
        if not installed:
            raise LookupError(package)

    monkeypatch.setattr(preparation, "get_package_prefix", prefix)
    monkeypatch.setattr(preparation, "PackageNotFoundError", LookupError)
    options = dataclasses.replace(TWIN, policy_path="checkpoints/twin_v2")
    assert preparation.checked(options).tf == str(installed).lower()
    assert preparation.checked(dataclasses.replace(options, tf="false")).tf == "false"
    for change in ({"tf": "true"}, {"rviz": True}):
        if installed:
            assert preparation.checked(dataclasses.replace(options, **change)).tf == "true"
        else:
            with pytest.raises(GraphError, match="needs the ROS package"):
                preparation.checked(dataclasses.replace(options, **change))
