import argparse
import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.bringup.options import (
    AUTO,
    add_deploy_arguments,
    default_text,
    deploy_options,
    options_from_text,
    read_cameras,
    require_known,
)
from prana_ros.graphs.deploy import DeployOptions
from prana_ros.graphs.spec import GraphError

CAMERAS = {"table": {"path": "table.mp4", "fps": 10.0}, "wrist": {"path": "wrist.mp4"}}


def parsed(*arguments: str) -> DeployOptions:
    parser = argparse.ArgumentParser()
    add_deploy_arguments(parser)
    return deploy_options(vars(parser.parse_args(arguments)))


def test_flags_are_the_launch_arguments():
    options = parsed(
        "--sim", "--policy-path", "checkpoint", "--episodes", "10", "--episode-time", "12.5", "--no-rviz", "--dry-run"
    )
    assert options == DeployOptions(
        sim=True, policy_path="checkpoint", episodes=10, episode_time=12.5, dry_run=True, real_time_factor=0.0
    )


@given(
    episodes=st.integers(1, 1000),
    seed=st.integers(0, 2**40),
    rate=st.floats(0.1, 2.0),
    sim=st.booleans(),
    port=st.text(),
)
def test_launch_arguments_which_are_text_mean_the_same(episodes, seed, rate, sim, port):
    options = options_from_text(
        {
            "episodes": str(episodes),
            "seed": str(seed),
            "playback_rate": str(rate),
            "sim": str(sim).lower(),
            "port": port,
        }
    )
    assert options == DeployOptions(episodes=episodes, seed=seed, playback_rate=rate, sim=sim, port=port)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("sim", "yes", "sim is 'yes': it must be true or false."),
        ("episodes", "2.5", "episodes is '2.5': it must be a whole number."),
        ("episode_time", "long", "episode_time is 'long': it must be a number."),
    ],
)
def test_a_launch_argument_of_another_type_is_refused_with_its_value(name, text, words):
    with pytest.raises(GraphError, match=words):
        options_from_text({name: text})


@pytest.mark.parametrize(
    ("name", "nearest"), [("dryrun", "dry_run"), ("episode", "episodes"), ("polciy_path", "policy_path")]
)
def test_an_unknown_launch_argument_is_refused_with_the_nearest_right_one(name, nearest):
    with pytest.raises(GraphError, match=rf"^{name} is no launch argument: did you mean {nearest}\?$"):
        require_known(["sim", name], "--show-args")


def test_an_unknown_launch_argument_that_is_near_to_none_is_refused_with_where_they_are_listed():
    with pytest.raises(GraphError, match=r"^zzz is no launch argument: --show-args lists all\.$"):
        require_known(["zzz"], "--show-args")


def test_every_default_of_a_launch_argument_means_the_default_of_the_flag():
    defaults = {option.name: default_text(option) for option in fields(DeployOptions)}
    assert options_from_text(defaults) == parsed()


def test_the_speed_of_the_clock_may_be_left_to_the_machine():
    assert parsed("--real-time-factor", "auto").real_time_factor == AUTO
    assert options_from_text({"real_time_factor": "auto"}).real_time_factor == AUTO
    assert options_from_text({"real_time_factor": "0.5"}).real_time_factor == 0.5


def test_cameras_are_read_from_text_and_from_files(tmp_path):
    file = tmp_path / "cameras.json"
    file.write_text(json.dumps(CAMERAS))
    assert read_cameras(json.dumps(CAMERAS)) == CAMERAS
    assert read_cameras(str(file)) == CAMERAS
    assert read_cameras("{table: {path: table.mp4, fps: 10.0}, wrist: {path: wrist.mp4}}") == CAMERAS
    assert read_cameras("") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no_such.yaml", "cameras file no_such.yaml cannot be read: No such file"),
        ("{table: [", "The text of cameras is not YAML"),
        ("table", "'table'; it must map each camera's name"),
    ],
)
def test_cameras_that_cannot_be_read_are_refused(text, words):
    with pytest.raises(GraphError, match=words):
        read_cameras(text)
