"""Cameras with another name in the checkpoint than on the robot, on a real checkpoint and the text of the option."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lerobot.configs.types import FeatureType, PolicyFeature
from support import checkpoints

from prana_ros.inference import gate
from prana_ros.inference.camera_keys import CameraKeysError, is_ros_name, read_camera_keys, with_robot_names
from prana_ros.inference.deployment import DeclaredFacts, load_for_robot
from prana_ros.inference.predictor import PolicyInput
from prana_ros.so101.units import lerobot_to_radians

IMAGE = PolicyFeature(FeatureType.VISUAL, (3, checkpoints.HEIGHT, checkpoints.WIDTH))
KEYS = "table=Top-View,wrist=cam.high"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint whose cameras cannot be the names of ROS topics."""
    state = checkpoints.FEATURES["observation.state"]
    cameras = {f"observation.images.{name}": IMAGE for name in ("Top-View", "cam.high")}
    inputs = {"observation.state": state, **cameras}
    return checkpoints.save_prana(tmp_path_factory.mktemp("keys") / "checkpoint", input_features=inputs)


def load(folder, text, cameras=("table", "wrist")):
    return load_for_robot(folder, "cpu", DeclaredFacts(cameras=cameras, camera_keys=text))


def test_the_policy_speaks_the_robot_s_camera_names_and_sees_the_right_images(folder):
    policy, robot = load(folder, KEYS)
    gate.require(policy.spec, robot)
    assert list(policy.spec.cameras) == ["table", "wrist"]
    images = checkpoints.images()
    state = lerobot_to_radians(checkpoints.state())
    chunk = policy.predict([PolicyInput(state, images)], seed=3).positions
    unnamed, _ = load(folder, "")
    by_key = {"Top-View": images["table"], "cam.high": images["wrist"]}
    np.testing.assert_array_equal(chunk, unnamed.predict([PolicyInput(state, by_key)], seed=3).positions)
    exchanged, _ = load(folder, "table=cam.high,wrist=Top-View")
    other = exchanged.predict([PolicyInput(state, images)], seed=3).positions
    assert np.abs(other - chunk).max() > 0


def test_keys_may_be_the_feature_s_whole_name(folder):
    policy, _ = load(folder, "table = observation.images.Top-View, wrist = cam.high")
    assert policy.image_keys == {"table": "observation.images.Top-View", "wrist": "observation.images.cam.high"}


def test_names_that_no_topic_can_have_are_refused_with_the_option_that_helps(folder):
    for cameras in ((), ("table", "wrist")):
        policy, robot = load(folder, "", cameras)
        sentences = gate.check(policy.spec, robot)
        assert len(sentences) == 2
        for name, sentence in zip(("Top-View", "cam.high"), sentences, strict=True):
            assert f"'{name}' cannot be the name of a ROS topic" in sentence
            assert f"camera_keys (prana check: --camera-keys), as in table={name}." in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("table", "camera_keys holds 'table', which is no pair camera=key"),
        ("table=", "camera_keys holds 'table=', which is no pair camera=key"),
        ("table=Top-View,table=cam.high", "gives camera 'table' two keys, Top-View and cam.high"),
        ("table=Top-View,wrist=Top-View", "gives the key 'Top-View' to two cameras, table and wrist"),
        (
            "table=Top-View,wrist=observation.images.Top-View",
            "gives the key 'Top-View' to two cameras, table and wrist; the checkpoint has Top-View, cam.high",
        ),
        ("table=top", "gives camera 'table' the key 'top'; the checkpoint has Top-View, cam.high"),
        ("front=Top-View", "names the camera 'front'; this robot has table, wrist, the checkpoint Top-View, cam.high"),
    ],
)
def test_what_cannot_be_matched_is_refused_in_one_sentence(folder, text, words):
    with pytest.raises(CameraKeysError) as refusal:
        load(folder, text)
    assert words in str(refusal.value)
    assert str(refusal.value).count(". ") == 0
    assert str(refusal.value).endswith(".")


def test_a_camera_is_not_given_two_keys_by_leaving_one_out(folder):
    policy, _ = load(folder, KEYS)  # whose cameras are now table and wrist
    with pytest.raises(CameraKeysError, match="gives camera 'wrist' the key 'table', but the checkpoint has a camera"):
        with_robot_names(policy, {"wrist": "table"})
    swapped = with_robot_names(policy, {"wrist": "table", "table": "wrist"})
    assert swapped.image_keys == {"wrist": "observation.images.Top-View", "table": "observation.images.cam.high"}


def test_without_keys_nothing_is_renamed(folder):
    policy, _ = load(folder, "")
    assert with_robot_names(policy, {}).image_keys == policy.image_keys


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
KEY = st.text(st.characters(codec="ascii", categories=("L", "N", "P"), exclude_characters=","), min_size=1)


@given(st.dictionaries(NAMES, KEY, max_size=4).filter(lambda keys: len(set(keys.values())) == len(keys)))
def test_the_text_is_read_as_it_was_written(keys):
    assert read_camera_keys(", ".join(f"{camera} = {key}" for camera, key in keys.items())) == keys


@pytest.mark.parametrize(
    ("name", "legal"),
    [("table", True), ("Top_View", True), ("cam2", True), ("Top-View", False), ("cam.high", False), ("2nd", False)],
)
def test_ros_names(name, legal):
    assert is_ros_name(name) is legal
