"""The checkpoint gate: every mismatch refused, with both values."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.inference.gate import STATE_SLACK, GateError, RobotDescription, check, check_state, require
from prana_ros.inference.spec import PolicySpec, StateRange
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import Units, lerobot_to_radians

SPEC = PolicySpec(
    kind="prana_v2",
    joint_names=JOINT_NAMES,
    units=Units.DEGREES,
    fps=30.0,
    cameras={"table": (3, 240, 320), "wrist": (3, 240, 320)},
    other_inputs=(),
    state_size=6,
    action_size=6,
    chunk_size=50,
    observation_steps=1,
    denoising_steps=10,
    takes_prefix=True,
    state_range=StateRange(np.full(6, -20.0), np.full(6, 80.0)),
    noise_problem=None,
    calibration_fingerprint=None,
)
ROBOT = RobotDescription(cameras={"table": (3, 240, 320), "wrist": None})
SWAPPED = (JOINT_NAMES[1], JOINT_NAMES[0], *JOINT_NAMES[2:])


def test_a_policy_that_fits_passes():
    assert check(SPEC, ROBOT) == []
    require(SPEC, RobotDescription())


@pytest.mark.parametrize(
    ("spec", "robot", "words"),
    [
        (
            {"joint_names": SWAPPED},
            {},
            ["shoulder_lift, shoulder_pan, elbow", "robot's are shoulder_pan, shoulder_lift"],
        ),
        ({"joint_names": None}, {}, ["joints' names", "set joint_names"]),
        ({"action_size": 7, "state_size": 7}, {}, ["state of 7 and an action of 7", "robot has 6"]),
        ({"units": None}, {}, ["set units"]),
        ({}, {"units": Units.M100_100}, ["are degrees", "set to m100_100"]),
        ({"units": Units.M100_100}, {}, ["m100_100", "set robot_id"]),
        ({"fps": None}, {}, ["set fps"]),
        ({}, {"fps": 10.0}, ["at 30 frames", "set to 10"]),
        ({"cameras": {"front": (3, 240, 320)}}, {}, ["needs camera front", "has table, wrist"]),
        ({}, {"cameras": {"table": (3, 480, 640), "wrist": None}}, ["320x240x3", "'table', which gives 640x480x3"]),
        ({"other_inputs": ("observation.environment_state",)}, {}, ["'observation.environment_state'"]),
        ({"noise_problem": "noise_is_fitted is false"}, {}, ["noise_is_fitted is false", "allow_unfitted_noise"]),
        ({"calibration_fingerprint": "abc"}, {"calibration_fingerprint": "def"}, ["calibration abc", "arm's is def"]),
    ],
)
def test_each_mismatch_is_one_sentence_with_both_values(spec, robot, words):
    (sentence,) = check(replace(SPEC, **spec), replace(ROBOT, **robot))
    for word in words:
        assert word in sentence
    with pytest.raises(GateError):
        require(replace(SPEC, **spec), replace(ROBOT, **robot))


def test_all_mismatches_are_told_at_once():
    spec = replace(SPEC, joint_names=SWAPPED, fps=None, cameras={"front": (3, 1, 1)})
    assert len(check(spec, ROBOT)) == 3


def test_unfitted_noise_may_be_allowed():
    spec = replace(SPEC, noise_problem="noise_is_fitted is false")
    assert check(spec, ROBOT, allow_unfitted_noise=True) == []


@given(st.lists(st.floats(-60, 130), min_size=6, max_size=6), st.floats(0, 0.5))
def test_a_live_state_outside_the_training_range_is_named(values, margin):
    slack = max(margin * 100.0, STATE_SLACK)
    outside = [n for n, v in zip(JOINT_NAMES, values, strict=True) if v < -20 - slack or v > 80 + slack]
    near = [v for v in values if min(abs(v + 20 + slack), abs(v - 80 - slack)) < 1e-6]
    sentences = check_state(SPEC, lerobot_to_radians(values), margin)
    if not near:
        assert [sentence.split("'")[1] for sentence in sentences] == outside


def test_the_live_state_is_compared_in_the_checkpoint_s_units():
    spec = replace(SPEC, units=Units.M100_100)
    calibration = twin_calibration()
    state = lerobot_to_radians(np.full(6, 79.0), Units.M100_100, calibration)
    assert check_state(spec, state, 0.0, calibration) == []
    assert (
        len(check_state(spec, lerobot_to_radians(np.full(6, -99.0), Units.M100_100, calibration), 0.0, calibration))
        == 6
    )


def test_without_a_training_range_nothing_is_compared():
    assert check_state(replace(SPEC, state_range=None), np.full(6, 3.0), 0.0) == []
