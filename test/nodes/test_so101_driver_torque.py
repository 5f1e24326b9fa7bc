"""The driver node over real DDS: when it gives the arm no torque, and what it says then."""

import dataclasses
import time

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from support.driver_node import PATIENCE, Driver, look, trajectory
from support.lerobot_arms import motors_bus
from trajectory_msgs.msg import JointTrajectory

from prana_msgs.msg import ArmState
from prana_ros.nodes import qos
from prana_ros.so101.calibration import twin_calibration, write_calibration
from prana_ros.so101.model import REST_POSE

NAME = "so101_driver"
FOLDED = list(REST_POSE)


@pytest.fixture
def calibrated_unfolded(port, tmp_path):
    """Folder of the calibration of an arm that was not fully folded while it was calibrated, in its servos too."""
    calibration = twin_calibration()
    calibration["shoulder_lift"] = dataclasses.replace(calibration["shoulder_lift"], range_min=1200)
    bus = motors_bus(port.link)
    bus.connect()
    bus.write("Min_Position_Limit", "shoulder_lift", 1200, normalize=False)
    bus.disconnect(disable_torque=False)
    write_calibration(calibration, tmp_path / "calibration" / "unfolded.json")
    return tmp_path / "calibration"


def test_an_arm_whose_range_does_not_reach_the_rest_pose_is_refused(ros, start_driver, calibrated_unfolded, port):
    process = start_driver(robot_id="unfolded", calibration_dir=calibrated_unfolded)
    assert not ros.change_state(NAME, "configure")
    process.wait_for("cannot configure: The rest pose has shoulder_lift at -1.70 rad, but its calibrated range goes")
    assert look(port)[1] == [0] * 6


def test_an_arm_outside_its_calibrated_range_gets_no_torque(ros, start_driver, calibrated_unfolded, port):
    before, _ = look(port)
    rest = [0.0, -1.45, *REST_POSE[2:]]
    process = start_driver(robot_id="unfolded", calibration_dir=calibrated_unfolded, rest_pose=rest)
    assert ros.change_state(NAME, "configure")
    assert not ros.change_state(NAME, "activate")
    process.wait_for(r"cannot activate: shoulder_lift reads \d+ counts, outside its calibrated range of 1200 to \d+")
    position, torque = look_after(ros, port)
    assert torque == [0] * 6
    assert position[1] == pytest.approx(before[1], abs=0.05)  # with torque the shoulder would go to -1.52 rad


def look_after(ros, port):
    """What is at the port when the driver has given it back."""
    assert ros.change_state(NAME, "cleanup")
    return look(port)


def test_a_dry_run_gives_no_torque_and_refuses_to_move_the_arm(ros, start_driver, port):
    commanded = ros.collect(f"{NAME}/commanded", JointState, qos.JOINT_STATE_SUB)
    driver = Driver(ros, start_driver(dry_run=True))
    driver.go([0.5] * 6)
    refused = driver.states.wait_for(lambda state: state.trajectories_refused == 1)
    assert "this is a dry run, in which the arm does not move" in refused.last_refusal
    assert "this is a dry run" in driver.call("go_to_rest").message
    assert refused.mode == ArmState.MODE_TORQUE_OFF
    assert not any(motor.torque for motor in refused.motors)
    assert ros.change_state(NAME, "deactivate")
    assert look_after(ros, port)[1] == [0] * 6
    assert commanded.messages == []


def test_torque_that_is_asked_for_in_a_dry_run_holds_the_arm_where_it_is(ros, start_driver, port):
    driver = Driver(ros, start_driver(dry_run=True))
    assert driver.call("set_torque", SetBool, data=True).success
    driver.wait_mode(ArmState.MODE_HOLDING)
    held = driver.position
    time.sleep(0.5)
    np.testing.assert_allclose(driver.position, held, atol=0.02)
    driver.wait_mode(ArmState.MODE_HOLDING)


def test_a_stop_before_activation_leaves_the_arm_limp_and_clearing_it_names_the_way_on(ros, start_driver):
    states = ros.collect(f"{NAME}/arm_state", ArmState, qos.LATCHED)
    start_driver()
    assert ros.change_state(NAME, "configure")
    assert ros.call(f"{NAME}/stop", Trigger, Trigger.Request()).success
    assert ros.change_state(NAME, "activate")
    answer = ros.call(f"{NAME}/clear_stop", Trigger, Trigger.Request())
    assert answer.success
    assert answer.message == "The torque is off; set_torque switches it on where the arm is."
    trajectories = ros.publisher("joint_trajectory", JointTrajectory, qos.TRAJECTORY, PATIENCE)
    trajectories.publish(trajectory([FOLDED], [1.0]))
    refused = states.wait_for(lambda state: state.trajectories_refused == 1)
    assert "set_torque switches it on" in refused.last_refusal
