"""What the servos report, judged: each finding is a sentence that agrees with the figures in it."""

import dataclasses

import numpy as np
import pytest

from prana_ros.so101.arm_reading import ArmReading
from prana_ros.so101.arm_watch import (
    ANGLE_BIT,
    OVERCURRENT_BIT,
    OVERHEAT_BIT,
    OVERLOAD_BIT,
    PATIENCE,
    VOLTAGE_BIT,
    ArmWatch,
    WatchLimits,
)
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.stop_ladder import StopReason

ELBOW = JOINT_NAMES.index("elbow_flex")
GRIPPER = JOINT_NAMES.index("gripper")
LIMITS = WatchLimits(max_temperature=65.0, min_voltage=4.5, lower=np.full(6, -1.5), upper=np.full(6, 1.5))
GOOD = ArmReading(
    stamp_ns=0,
    counts=np.full(6, 2047),
    position=np.zeros(6),
    velocity=np.zeros(6),
    load=np.full(6, 0.4),
    current=np.zeros(6),
    voltage=np.full(6, 12.0),
    temperature=np.full(6, 40.0),
    error_bits=np.zeros(6, dtype=np.int64),
)


def reading(joint=ELBOW, **values):
    """A good reading but for ``values`` of one joint."""
    changed = {name: getattr(GOOD, name).copy() for name in values}
    for name, value in values.items():
        changed[name][joint] = value
    return dataclasses.replace(GOOD, **changed)


def findings(seen):
    watch = ArmWatch(LIMITS)
    assert watch.check(seen, 10.0) == []
    return watch.check(seen, 10.0 + 1.01 * PATIENCE)


@pytest.mark.parametrize(
    ("values", "reason", "sentence"),
    [
        ({"temperature": 66.0}, StopReason.OVER_TEMPERATURE, "of elbow_flex has 66 °C; allowed are 65 °C"),
        ({"error_bits": OVERHEAT_BIT}, StopReason.OVER_TEMPERATURE, "reports that it is too hot, at 40 °C"),
        ({"voltage": 4.4}, StopReason.LOW_VOLTAGE, "of elbow_flex gets 4.4 V; at least 4.5 V"),
        ({"error_bits": VOLTAGE_BIT}, StopReason.LOW_VOLTAGE, "its supply of 12.0 V is outside what it is made for"),
        ({"error_bits": OVERLOAD_BIT}, StopReason.OVERLOAD, "overloaded (load 40 %)"),
        ({"error_bits": OVERCURRENT_BIT}, StopReason.OVERLOAD, "overloaded"),
        ({"error_bits": ANGLE_BIT}, StopReason.LIMIT, "angle sensor is out of range"),
        ({"position": 1.8}, StopReason.LIMIT, "elbow_flex is at 1.80 rad, beyond its limits of -1.50 to 1.50 rad"),
    ],
)
def test_each_finding_is_one_sentence(values, reason, sentence):
    ((found, message),) = findings(reading(**values))
    assert found is reason
    assert sentence in message


@pytest.mark.parametrize(
    "seen",
    [
        GOOD,
        reading(position=1.65),
        reading(temperature=65.0, voltage=4.5),
        reading(GRIPPER, error_bits=OVERLOAD_BIT | OVERCURRENT_BIT),
    ],
)
def test_what_is_no_reason_to_stop(seen):
    assert findings(seen) == []


def test_a_good_reading_in_between_starts_the_patience_anew():
    watch, hot = ArmWatch(LIMITS), reading(temperature=70.0)
    for start in (0.0, 1.0):
        assert watch.check(hot, start) == []
        assert watch.check(hot, start + 0.9 * PATIENCE) == []
        assert watch.check(GOOD, start + 0.95 * PATIENCE) == []
    assert watch.check(hot, 2.0) == []
    assert len(watch.check(hot, 2.0 + 1.01 * PATIENCE)) == 1
