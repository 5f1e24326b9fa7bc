"""What is refused before it can reach the arm, and in which words."""

import numpy as np
import pytest

from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.trajectory import Trajectory, TrajectoryError, validate

NOW = 5_000_000_000_000


def trajectory(**changes):
    fields = {
        "owner": "policy",
        "start_ns": NOW,
        "joint_names": JOINT_NAMES,
        "times_s": np.array([0.1, 0.2, 0.3]),
        "positions": np.zeros((3, 6)),
    }
    return Trajectory(**(fields | changes))


def with_value(shape, index, value):
    table = np.zeros(shape)
    table[index] = value
    return table


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"start_ns": 0},
        {"start_ns": NOW - 250_000_000},
        {"start_ns": NOW + 10_000_000_000},
        {"joint_names": ["gripper"], "positions": np.zeros((3, 1))},
        {"joint_names": JOINT_NAMES[::-1]},
        {"start_ns": 0, "times_s": np.zeros(1), "positions": np.zeros((1, 6))},
        {"velocities": np.zeros((3, 6))},
    ],
)
def test_acceptable(changes):
    validate(trajectory(**changes), NOW)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"joint_names": []}, "names no joints; allowed are shoulder_pan"),
        (
            {"joint_names": ["elbow", *JOINT_NAMES[1:]]},
            "names the joint 'elbow'; this arm has shoulder_pan",
        ),
        ({"joint_names": [*JOINT_NAMES[:5], "wrist_roll"]}, "'wrist_roll' twice"),
        ({"times_s": np.zeros(0), "positions": np.zeros((0, 6))}, "has no points"),
        (
            {"times_s": np.array([0.1, 0.3, 0.3])},
            "Point 2 of the trajectory is at 0.3 s and the one before it at 0.3 s",
        ),
        (
            {"times_s": np.array([0.1, np.nan, 0.3])},
            "Point 1 of the trajectory is nan s after its start",
        ),
        (
            {"times_s": np.array([-0.1, 0.2, 0.3])},
            "Point 0 of the trajectory is -0.1 s after its start",
        ),
        (
            {"positions": with_value((3, 6), (1, 2), np.nan)},
            "Point 1 .* 'elbow_flex' the position nan",
        ),
        (
            {"positions": with_value((3, 6), (2, 0), -np.inf)},
            "Point 2 .* 'shoulder_pan' the position -inf",
        ),
        (
            {"velocities": with_value((3, 6), (0, 5), np.nan)},
            "Point 0 .* 'gripper' the velocity nan",
        ),
        (
            {"positions": np.zeros((2, 6))},
            r"shape \(2, 6\); 3 points of 6 joints need \(3, 6\)",
        ),
        ({"start_ns": NOW - 300_000_001}, "lies 0.000 s in the past"),
        ({"start_ns": NOW - 2_300_000_000}, "lies 2.000 s in the past"),
        ({"start_ns": NOW + 61_000_000_000}, "starts in 61 s; allowed are 60 s"),
    ],
)
def test_refused_in_one_sentence(changes, sentence):
    with pytest.raises(TrajectoryError, match=sentence) as error:
        validate(trajectory(**changes), NOW)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
