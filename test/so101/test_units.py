"""Units: inverse of one another, and the same as LeRobot's own FeetechMotorsBus, count for count."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus

from prana_ros.so101 import units
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import Units


@st.composite
def calibrations(draw) -> dict[str, MotorCalibration]:
    result = {}
    for number, name in enumerate(JOINT_NAMES, start=1):
        low = draw(st.integers(0, 3000))
        high = draw(st.integers(low + 100, 4095))
        result[name] = MotorCalibration(number, draw(st.integers(0, 1)), draw(st.integers(-2047, 2047)), low, high)
    return result


def joints(low: float, high: float):
    return hnp.arrays(np.float64, 6, elements=st.floats(low, high))


counts = hnp.arrays(np.int64, 6, elements=st.integers(-1000, 5000))
both_units = st.sampled_from(Units)


def lerobot_bus(calibration: dict[str, MotorCalibration], unit: Units) -> FeetechMotorsBus:
    """LeRobot's bus as SOFollower sets it up; normalizing needs no port."""
    arm = MotorNormMode.DEGREES if unit is Units.DEGREES else MotorNormMode.RANGE_M100_100
    modes = [arm] * 5 + [MotorNormMode.RANGE_0_100]
    motors = {name: Motor(n, "sts3215", mode) for n, (name, mode) in enumerate(zip(JOINT_NAMES, modes, strict=True), 1)}
    return FeetechMotorsBus("no-port", motors, calibration)


@given(counts, calibrations(), both_units)
def test_counts_read_as_lerobot_reads_them(values, calibration, unit):
    expected = lerobot_bus(calibration, unit)._normalize(dict(enumerate(values.tolist(), 1)))
    np.testing.assert_array_equal(units.counts_to_lerobot(values, calibration, unit), list(expected.values()))


@given(joints(-200, 200), calibrations(), both_units)
def test_goals_become_the_counts_that_lerobot_sends(values, calibration, unit):
    expected = lerobot_bus(calibration, unit)._unnormalize(dict(enumerate(values.tolist(), 1)))
    np.testing.assert_array_equal(units.lerobot_to_counts(values, calibration, unit), list(expected.values()))


@given(joints(-4, 4), calibrations(), both_units)
def test_radians_survive_lerobots_units(q, calibration, unit):
    there = units.radians_to_lerobot(q, unit, calibration)
    np.testing.assert_allclose(units.lerobot_to_radians(there, unit, calibration), q, atol=1e-12)


@given(calibrations(), st.data())
def test_both_units_of_one_reading_are_the_same_angle(calibration, data):
    """The same servo counts give the same radians whichever units a data set was recorded in."""
    inside = [data.draw(st.integers(motor.range_min, motor.range_max)) for motor in calibration.values()]
    # LeRobot turns -100..100 round where drive_mode is set, but not degrees: without it they must agree.
    plain = {name: dataclasses.replace(motor, drive_mode=0) for name, motor in calibration.items()}
    angles = [units.lerobot_to_radians(units.counts_to_lerobot(inside, plain, unit), unit, plain) for unit in Units]
    np.testing.assert_allclose(angles[0], angles[1], atol=1e-12)
    turned = units.lerobot_to_radians(
        units.counts_to_lerobot(inside, calibration, Units.M100_100), Units.M100_100, calibration
    )
    np.testing.assert_allclose(turned[:5], angles[0][:5], atol=1e-12)


@given(calibrations(), st.data())
def test_sent_counts_read_back_within_one_count(calibration, data):
    part = data.draw(hnp.arrays(np.float64, 6, elements=st.floats(0, 1)))
    lower = np.array([calibration[name].range_min for name in JOINT_NAMES])
    upper = np.array([calibration[name].range_max for name in JOINT_NAMES])
    q = units.counts_to_radians(lower + part * (upper - lower), calibration)
    sent = units.radians_to_counts(q, calibration)
    _, slope = units.encoder_map(calibration)
    assert (np.abs(units.counts_to_radians(sent, calibration) - q) <= (1 + 1e-6) / np.abs(slope)).all()


@given(calibrations(), st.data())
def test_encoder_map_is_the_line_behind_the_conversion(calibration, data):
    inside = [data.draw(st.integers(motor.range_min, motor.range_max)) for motor in calibration.values()]
    zero, slope = units.encoder_map(calibration)
    np.testing.assert_allclose(zero + slope * units.counts_to_radians(inside, calibration), inside, atol=1e-6)


def test_known_values():
    """Written by hand from so101.md's text: degrees, gripper 0 at -10° and 100 at 100°."""
    q = np.radians([90, -45, 30, 0, 180, 45])
    np.testing.assert_allclose(units.radians_to_lerobot(q), [90, -45, 30, 0, 180, 50], atol=1e-12)
    np.testing.assert_allclose(units.radians_to_lerobot(np.radians([0] * 5 + [-10]))[5], 0, atol=1e-12)
    np.testing.assert_allclose(units.radians_to_lerobot(np.radians([0] * 5 + [100]))[5], 100, atol=1e-12)
    calibration = twin_calibration()
    np.testing.assert_array_equal(
        units.radians_to_counts(np.zeros(6), calibration), [2047, 2047, 2047, 2047, 2047, 1535]
    )
    assert Units("degrees") is units.LEROBOT_UNITS


def test_batches_keep_their_shape():
    q = np.random.default_rng(0).uniform(-1, 1, (4, 3, 6))
    there = units.radians_to_lerobot(q)
    assert there.shape == (4, 3, 6)
    np.testing.assert_array_equal(there[2, 1], units.radians_to_lerobot(q[2, 1]))
    np.testing.assert_array_equal(
        units.radians_to_counts(q, twin_calibration())[3, 0], units.radians_to_counts(q[3, 0], twin_calibration())
    )


def test_the_callers_array_is_left_alone():
    q = np.ones(6)
    units.radians_to_lerobot(q)
    units.lerobot_to_radians(q)
    units.counts_to_lerobot(q, twin_calibration())
    np.testing.assert_array_equal(q, np.ones(6))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_goals_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="must be finite"):
        units.radians_to_counts([0, 0, bad, 0, 0, 0], twin_calibration())


def test_wrong_shapes_and_missing_calibration_are_refused():
    with pytest.raises(ValueError, match=r"shape \(5,\); their last dimension must be 6"):
        units.radians_to_lerobot(np.zeros(5))
    with pytest.raises(ValueError, match="give the arm's calibration"):
        units.lerobot_to_radians(np.zeros(6), Units.M100_100)
