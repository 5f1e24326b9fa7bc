"""The driver node as a process, over real DDS, on the twin as another process."""

import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool
from support.driver_node import MODULE, PATIENCE, Driver, look, trajectory
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from prana_msgs.msg import ArmState
from prana_msgs.srv import Acquire, Release
from prana_ros import resources
from prana_ros.messages.standard import stamp_from_ns
from prana_ros.nodes import qos
from prana_ros.so101.model import JOINT_NAMES, REST_POSE

REST = np.array(REST_POSE)
RAISED = np.array([0.3, -0.8, 0.9, 0.3, 0.2, 0.8])


def test_it_tells_everything_about_the_arm(ros, start_driver):
    commanded = ros.collect("so101_driver/commanded", JointState, qos.JOINT_STATE_SUB)
    diagnostics = ros.collect("/diagnostics", DiagnosticArray, qos.DIAGNOSTICS)
    driver = Driver(ros, start_driver())
    # Joining late, as RViz does.
    description = ros.collect("robot_description", String, qos.LATCHED)
    assert 'name="gripper_frame"' in description.wait()[0].data
    joints = driver.joints.wait(20)[-1]
    assert list(joints.name) == list(JOINT_NAMES)
    assert len(joints.position) == len(joints.velocity) == len(joints.effort) == 6
    age = time.time() - joints.header.stamp.sec - 1e-9 * joints.header.stamp.nanosec
    assert 0.0 < age < 5.0
    stamps = [m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in driver.joints.messages]
    assert np.all(np.diff(stamps) > 0.0)
    np.testing.assert_allclose(commanded.wait()[-1].position, driver.position, atol=0.15)
    driver.states.wait_for(lambda state: state.mode == ArmState.MODE_HOLDING)
    state = driver.states.wait_for(lambda state: state.commands_sent > 50)
    assert [motor.name for motor in state.motors] == list(JOINT_NAMES)
    assert all(20.0 < motor.temperature < 60.0 and 11.0 < motor.voltage < 13.0 for motor in state.motors)
    names = [status.name for status in diagnostics.wait()[-1].status]
    assert names == ["/so101_driver: arm", *(f"/so101_driver: {name}" for name in JOINT_NAMES)]
    assert diagnostics.messages[-1].status[0].level == DiagnosticStatus.OK


def test_bad_trajectories_are_refused_and_counted_while_the_old_plan_goes_on(driver):
    driver.go(RAISED, 3.0)
    driver.states.wait_for(lambda state: state.mode == ArmState.MODE_FOLLOWING)
    zeros = np.zeros(6)
    ragged = trajectory([zeros, zeros], [1.0, 2.0])
    ragged.points[1].positions.pop()
    negative = trajectory([zeros], [1.0])
    negative.points[0].time_from_start = Duration(sec=-1)
    bad = [
        (trajectory([[0, 0, np.nan, 0, 0, 0]], [1.0]), "'elbow_flex' the position nan"),
        (trajectory([[np.inf, 0, 0, 0, 0, 0]], [1.0]), "'shoulder_pan' the position inf"),
        (trajectory([zeros], [1.0], joints=["elbow", *JOINT_NAMES[1:]]), "the joint 'elbow'"),
        (trajectory([zeros], [1.0], stamp=stamp_from_ns(time.time_ns() - 10**10)), "in the past"),
        (trajectory([zeros, zeros], [1.0, 1.0]), "times must increase"),
        (trajectory([], []), "has no points"),
        (JointTrajectory(points=[JointTrajectoryPoint()]), "names no joints"),
        (ragged, "Point 1 of the trajectory has 5 positions"),
        (negative, "Point 0 of the trajectory is -1 s after its start"),
    ]
    for count, (msg, sentence) in enumerate(bad, start=1):
        driver.trajectories.publish(msg)
        refused = driver.states.wait_for(lambda state, count=count: state.trajectories_refused == count)
        assert sentence in refused.last_refusal
    driver.wait_near(RAISED)
    assert (driver.state.trajectories_accepted, driver.state.stop_reason) == (1, ArmState.STOP_NONE)


def test_one_commander_at_a_time(driver):
    answer = driver.call("acquire", Acquire, owner="policy")
    assert answer.success
    refused = driver.call("acquire", Acquire, owner="replay")
    assert not refused.success
    assert "belongs to 'policy'" in refused.message
    driver.go(RAISED, owner="replay")
    state = driver.states.wait_for(lambda state: state.trajectories_refused == 1)
    assert (state.owner, state.trajectories_accepted) == ("policy", 0)
    assert "came from 'replay'" in state.last_refusal
    assert not driver.call("go_to_rest").success
    driver.go(RAISED, owner="policy")
    driver.wait_near(RAISED)
    assert not driver.call("release", Release, owner="replay").success
    assert driver.call("release", Release, owner="policy").success
    assert driver.call("go_to_rest").success
    driver.states.wait_for(lambda state: state.mode == ArmState.MODE_RETURNING)
    driver.wait_near(REST)


def test_a_lost_commander_stops_the_arm(driver):
    assert driver.call("acquire", Acquire, owner="policy", heartbeat_timeout=1.0).success
    driver.go(RAISED, 4.0, owner="policy")
    stopped = driver.states.wait_for(lambda state: state.mode == ArmState.MODE_STOPPED)
    assert stopped.stop_reason == ArmState.STOP_LOST_COMMANDER
    assert stopped.stop_message.startswith("'policy' sent no trajectory for 1.")
    assert stopped.owner == ""
    time.sleep(0.5)
    held = driver.position
    driver.go(REST)
    driver.states.wait_for(lambda state: state.trajectories_refused == 1)
    assert not driver.call("acquire", Acquire, owner="leader").success
    time.sleep(0.5)
    np.testing.assert_allclose(driver.position, held, atol=0.02)
    assert driver.call("clear_stop").success
    driver.go(REST)
    driver.wait_near(REST)


def test_stop_and_torque_services(driver, port):
    driver.go(RAISED, 3.0)
    driver.states.wait_for(lambda state: state.mode == ArmState.MODE_FOLLOWING)
    assert driver.call("stop").success
    assert (
        driver.states.wait_for(lambda state: state.mode == ArmState.MODE_STOPPED).stop_reason == ArmState.STOP_SERVICE
    )
    again = driver.call("clear_stop")
    assert again.success
    assert driver.call("clear_stop").message == "No stop is in force."
    assert driver.call("set_torque", SetBool, data=False).success
    driver.wait_mode(ArmState.MODE_TORQUE_OFF)
    driver.go(RAISED)
    refused = driver.states.wait_for(lambda state: state.trajectories_refused == 1)
    assert "the torque is off" in refused.last_refusal
    assert driver.call("set_torque", SetBool, data=True).success
    driver.wait_mode(ArmState.MODE_HOLDING)
    driver.go(RAISED)
    driver.wait_near(RAISED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_motion_brings_the_arm_to_rest_and_lets_go_there(driver, port, number):
    driver.go(RAISED, 1.5)
    driver.wait_near(RAISED)
    driver.go([-0.5, *RAISED[1:]], 3.0)
    time.sleep(1.0)
    driver.process.send(number)
    driver.process.must_end(0, within=PATIENCE)
    position, torque = look(port)
    assert torque == [0] * 6
    # Without torque the wrist sags a little in the time that it takes to look.
    np.testing.assert_allclose(position[:3], REST[:3], atol=0.2)
    # The way to rest is to be seen, by people in RViz and by programs.
    assert driver.states.wait_for(lambda state: state.mode == ArmState.MODE_RETURNING)
    np.testing.assert_allclose(driver.position[:3], REST[:3], atol=0.2)
    path = np.array([joints.position for joints in driver.joints.messages])
    assert np.abs(np.diff(path, axis=0)).max() < 0.5
    assert "ERROR" not in driver.process.output


def test_after_sigkill_in_motion_the_arm_holds_and_the_next_start_takes_over_without_a_jump(
    driver, ros, start_driver, port
):
    driver.go(RAISED, 1.5)
    driver.wait_near(RAISED)
    driver.go([-0.5, *RAISED[1:]], 3.0)
    time.sleep(1.0)
    driver.process.send(signal.SIGKILL)
    driver.process.wait()
    time.sleep(0.5)
    held, torque = look(port)
    assert torque == [1] * 6
    assert -0.5 < held[0] < RAISED[0]
    # Under another name: DDS takes the dead one for alive for a while, and would ask it to configure.
    successor = Driver(ros, start_driver("-r", "__node:=successor"), "successor")
    path = np.array([joints.position for joints in successor.joints.wait(20)])
    np.testing.assert_allclose(path, np.tile(held, (len(path), 1)), atol=0.03)
    successor.go([-0.5, *RAISED[1:]])
    successor.wait_near([-0.5, *RAISED[1:]])


def test_deactivating_holds_and_cleaning_up_goes_to_rest(driver, ros, port):
    driver.go(RAISED)
    driver.wait_near(RAISED)
    assert ros.change_state("so101_driver", "deactivate")
    before = len(driver.joints.messages)
    driver.go(REST)
    time.sleep(1.0)
    assert ros.change_state("so101_driver", "activate")
    driver.joints.wait(before + 10, timeout=PATIENCE)
    np.testing.assert_allclose(driver.position, RAISED, atol=0.15)
    assert ros.change_state("so101_driver", "deactivate")
    assert ros.change_state("so101_driver", "cleanup")
    position, torque = look(port)
    assert torque == [0] * 6, driver.process.output
    np.testing.assert_allclose(position[:3], REST[:3], atol=0.2)
    assert ros.change_state("so101_driver", "configure")
    assert ros.change_state("so101_driver", "activate")


def test_an_unplugged_arm_stops_the_driver_which_says_so_and_ends_on_a_signal(driver, port):
    driver.go(RAISED, 3.0)
    driver.states.wait_for(lambda state: state.mode == ArmState.MODE_FOLLOWING)
    port.twin.send(signal.SIGKILL)
    stopped = driver.states.wait_for(lambda state: state.mode == ArmState.MODE_STOPPED)
    assert stopped.stop_reason == ArmState.STOP_COMMUNICATION
    assert str(port.link) in stopped.stop_message
    driver.process.send(signal.SIGTERM)
    driver.process.must_end(0, within=PATIENCE)
    assert "no contact to the arm" in driver.process.output


@pytest.mark.parametrize("mode", ["FOLLOWING", "RETURNING"])
def test_a_defect_in_the_servo_loop_is_told_and_the_arm_holds(ros, processes, port, mode):
    parameters = {"port": port.link, "robot_id": "twin", "calibration_dir": resources.packaged("config", "calibration")}
    arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:='{value}'")]
    script = str(Path(__file__).with_name("driver_that_breaks.py"))
    driver = Driver(ros, processes.python(script, "--ros-args", *arguments, env={"DRIVER_BREAKS_IN": mode}))
    if mode == "FOLLOWING":
        driver.go(RAISED)
        driver.process.must_end(1, within=PATIENCE)
    else:
        driver.process.send(signal.SIGTERM)
        driver.process.wait(timeout=PATIENCE)
    driver.process.wait_for(r"ervo loop has ended .*ZeroDivisionError\('a defect'\).*; the servos hold their last goal")
    _, torque = look(port)
    assert torque == [1] * 6


def test_commands_that_come_while_the_arm_is_brought_to_rest_do_no_harm(driver, ros):
    driver.go(RAISED)
    driver.wait_near(RAISED)
    ended = threading.Event()

    def command():
        while not ended.wait(0.01):
            driver.go(RAISED)

    thread = threading.Thread(target=command)
    thread.start()
    try:
        for transition in ("deactivate", "cleanup", "configure", "activate"):
            assert ros.change_state(driver.name, transition)
    finally:
        ended.set()
        thread.join()
    driver.wait_near(RAISED)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"port": ""}, "port is empty"),
        ({"port": "/dev/ttyNOTHERE"}, "There is no port '/dev/ttyNOTHERE'"),
        ({"port": "/dev/null"}, "'/dev/null' is not a serial port"),
        ({"robot_id": "nobody"}, "There is no calibration file .*nobody.json"),
        ({"max_velocity": 40.0}, "parameter 'max_velocity' is 40.0, but must be"),
        ({"rate": "fast"}, "parameter 'rate' is 'fast' .*, but must be of type float"),
        ({"speed": 1.0}, "parameter 'speed' is unknown"),
    ],
)
def test_what_cannot_be_configured_is_refused_in_one_sentence(ros, processes, tmp_path, changes, sentence):
    calibration = resources.packaged("config", "calibration")
    parameters = {"port": tmp_path / "arm", "robot_id": "twin", "calibration_dir": calibration}
    process = processes.node(MODULE, parameters | changes)
    assert not ros.change_state("so101_driver", "configure")
    process.wait_for(rf"cannot configure: .*{sentence}")
    assert ros.state("so101_driver") == "unconfigured"
    assert "Traceback" not in process.output


def test_a_busy_port_is_refused_and_the_first_driver_goes_on(driver, ros, start_driver):
    second = start_driver("-r", "__node:=second")
    assert not ros.change_state("second", "configure")
    second.wait_for(r"cannot configure: The port '.*' is in use by .*pid \d+")
    driver.go(RAISED)
    driver.wait_near(RAISED)
    assert driver.state.stop_reason == ArmState.STOP_NONE


def test_on_a_simulated_clock_plans_stretch_and_a_clock_that_ends_does_not_keep_the_arm_up(ros, start_driver, port):
    process = start_driver(use_sim_time=True)
    clock = ros.publisher("/clock", Clock, qos.CLOCK, PATIENCE)
    ticking = threading.Event()

    def tick():
        begin = time.monotonic()
        while not ticking.wait(0.01):
            clock.publish(Clock(clock=stamp_from_ns(10**12 + round(0.5e9 * (time.monotonic() - begin)))))

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        driver = Driver(ros, process)
        begin = time.monotonic()
        driver.go(RAISED, 2.0)
        driver.states.wait_for(lambda state: state.mode == ArmState.MODE_FOLLOWING)
        driver.states.wait_for(lambda state: state.trajectories_accepted == 1 and state.mode == ArmState.MODE_HOLDING)
        assert time.monotonic() - begin > 3.5
        assert 990 < driver.joints.messages[-1].header.stamp.sec < 1100
    finally:
        ticking.set()
        thread.join()
    process.send(signal.SIGTERM)
    process.must_end(0, within=PATIENCE)
    position, torque = look(port)
    assert torque == [0] * 6
    np.testing.assert_allclose(position[:3], REST[:3], atol=0.2)
