"""The driver node over real DDS: what it does with an arm that was calibrated differently from its file."""

import pytest
from support.driver_node import look
from support.lerobot_arms import motors_bus

from prana_ros.so101.calibration import twin_calibration, write_calibration

NAME = "so101_driver"
OTHER_ARM = twin_calibration([-120, 30, 40, -7, 1, 55])


@pytest.fixture
def other_arm(tmp_path):
    """Folder of another arm's calibration file."""
    write_calibration(OTHER_ARM, tmp_path / "calibration" / "other.json")
    return {"robot_id": "other", "calibration_dir": tmp_path / "calibration"}


def kept_calibration(port):
    """What LeRobot's own bus finds in the memory of all six servos."""
    bus = motors_bus(port.link)
    bus.connect()
    try:
        return bus.read_calibration()
    finally:
        bus.disconnect(disable_torque=False)


def test_an_arm_that_does_not_match_its_file_is_refused_and_its_memory_left_alone(ros, start_driver, other_arm, port):
    before = kept_calibration(port)
    assert before == twin_calibration()
    process = start_driver(**other_arm)
    assert not ros.change_state(NAME, "configure")
    process.wait_for(
        r"cannot configure: .* calibrated differently from the calibration file: motor 1 \(shoulder_pan\) has "
        r"Homing_Offset 0 \(file: -120\); .*motor 6 \(gripper\) has Homing_Offset 0 \(file: 55\); .*write_calibration"
    )
    assert kept_calibration(port) == before
    assert look(port)[1] == [0] * 6


def test_the_file_is_written_into_the_arm_where_that_is_asked_for(ros, start_driver, other_arm, port):
    start_driver(**other_arm, write_calibration=True)
    assert ros.change_state(NAME, "configure")
    assert ros.change_state(NAME, "cleanup")
    assert kept_calibration(port) == OTHER_ARM
