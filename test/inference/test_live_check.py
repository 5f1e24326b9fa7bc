"""What the inputs sent, judged before torque: rates by the stamps, sizes, and what never came."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.predictors import spec

from prana_ros.inference.live_check import RATE_PATIENCE, LiveCheck, Source
from prana_ros.inference.observations import JOINT_STATES, ObservationBuffer
from prana_ros.inference.plan import NANOSECONDS
from prana_ros.inference.streams import InputSummary

EPOCH = 1_770_000_000 * NANOSECONDS
SOURCES = {"table": Source("/arm/table/image_raw", 1), JOINT_STATES: Source("/arm/joint_states", 0)}
JOINTS = InputSummary(received=100, stamps=100, span=1.0, fault="", shape=(6,))


def camera(stamps: int = 31, span: float = 1.0, received: int | None = None, shape=(4, 4, 3), fault="") -> InputSummary:
    return InputSummary(stamps if received is None else received, stamps, span, fault, shape)


def complaints(table: InputSummary, joints: InputSummary = JOINTS, rate: float = 30.0, least: float = 0.4) -> list[str]:
    check = LiveCheck(spec(cameras=("table",)), rate, least)
    return check.complaints({"table": table, JOINT_STATES: joints}, SOURCES, 10.0)


@pytest.mark.parametrize(
    ("camera_fps", "policy_rate"),
    [
        (30.0, 30.0),
        (29.6, 30.0),  # a webcam's crystal
        (25.0, 30.0),  # mains frequency
        (15.0, 30.0),  # dim light: exposure takes two periods
        (15.0, 10.0),
        (10.0, 10.0),
        (60.0, 30.0),
        (10.0, 15.0),  # played at half speed
    ],
)
def test_cameras_that_people_have_are_accepted(camera_fps, policy_rate):
    assert complaints(camera(stamps=11, span=10 / camera_fps), rate=policy_rate) == []


def test_a_camera_that_is_much_too_slow_is_refused_with_what_allows_it():
    assert complaints(camera(stamps=2, span=1.0)) == [
        "Camera 'table' gives 1.0 images a second, a policy of 30 actions a second needs at least 12.0; to allow a "
        "slower camera set min_camera_rate below 0.4."
    ]
    assert complaints(camera(stamps=2, span=1.0), least=0.0) == []


@given(st.floats(0.2, 120.0), st.floats(1.0, 60.0), st.floats(0.0, 1.0))
def test_a_camera_is_refused_if_and_only_if_it_is_below_its_part_of_the_policy_s_rate(fps, rate, least):
    span = 20 / fps
    refused = bool(complaints(camera(stamps=21, span=span), rate=rate, least=least))
    assert refused == (20 / span < least * rate)


@given(st.integers(1, 90), st.integers(2, 60))
def test_the_rate_is_that_of_the_stamps(fps, count):
    buffer = ObservationBuffer(("table",), NANOSECONDS // 30)
    for i in range(count):
        buffer.add_image("table", EPOCH + i * NANOSECONDS // fps, np.zeros((4, 4, 3), np.uint8))
        buffer.add_image("table", EPOCH, np.zeros((4, 4, 3), np.uint8))  # a repeated stamp is no new image
    seen = buffer.summaries()["table"]
    assert seen.rate == pytest.approx(fps, rel=1e-6)
    assert (seen.stamps, seen.received, seen.shape) == (count, 2 * count, (4, 4, 3))


@pytest.mark.parametrize(
    ("table", "joints", "sentence"),
    [
        (
            camera(stamps=0, span=0.0, shape=()),
            JOINTS,
            "Input 'table' has sent nothing in 10 s: /arm/table/image_raw has 1 publisher.",
        ),
        (
            camera(),
            camera(stamps=0, span=0.0, shape=()),
            "Input 'joint_states' has sent nothing in 10 s: nobody publishes /arm/joint_states.",
        ),
        (
            camera(stamps=1, span=0.0),
            JOINTS,
            "Input 'table' has sent one image in 10 s: /arm/table/image_raw has 1 publisher.",
        ),
        (
            camera(stamps=1, span=0.0, received=7),
            JOINTS,
            "Input 'table' is frozen: 7 images came with the same stamp on /arm/table/image_raw.",
        ),
        (camera(stamps=0, span=0.0, shape=(), fault="Input 'table' is odd."), JOINTS, "Input 'table' is odd."),
        (
            camera(shape=(480, 640, 3)),
            JOINTS,
            "Camera 'table' gives images of 640x480x3; the policy was trained on 4x4x3.",
        ),
    ],
)
def test_what_is_wrong_with_an_input_is_one_sentence(table, joints, sentence):
    assert complaints(table, joints) == [sentence]


def test_inputs_are_complete_once_each_camera_has_shown_a_second():
    check = LiveCheck(spec(cameras=("table", "wrist")), 30.0, 0.4)
    nothing, one = camera(stamps=0, span=0.0), camera(stamps=1, span=0.0)
    for table, wrist, joints in ((nothing, camera(), JOINTS), (camera(), one, JOINTS), (camera(), camera(), nothing)):
        assert not check.is_complete({"table": table, "wrist": wrist, JOINT_STATES: joints}, 50.0)
    short = {"table": camera(), "wrist": camera(stamps=20, span=0.6), JOINT_STATES: JOINTS}
    assert not check.is_complete(short, 100.0)
    assert check.is_complete({**short, "wrist": camera()}, 100.1)


def test_a_simulation_below_real_time_need_not_show_a_second():
    check = LiveCheck(spec(cameras=("table",)), 30.0, 0.4)
    slow = {"table": camera(stamps=9, span=0.27), JOINT_STATES: JOINTS}
    assert not check.is_complete(slow, 100.0)
    assert check.is_complete(slow, 100.0 + RATE_PATIENCE)


def test_a_policy_without_cameras_waits_for_the_joint_states_only():
    check = LiveCheck(spec(), 30.0, 0.4)
    assert check.is_complete({JOINT_STATES: JOINTS}, 0.0)
