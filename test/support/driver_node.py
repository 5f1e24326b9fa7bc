"""The driver node in tests: as a process that is active, with what it says and what is asked of it."""

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from prana_msgs.msg import ArmState
from prana_ros.messages.standard import duration_from_s
from prana_ros.nodes import qos
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import lerobot_to_radians
from support.lerobot_arms import motors_bus
from support.ros import wait_until

MODULE = "prana_ros.nodes.so101_driver"
PATIENCE = 90.0
"""Seconds for whatever takes two on a machine that has nothing else to do."""


class Driver:
    """A driver that is active, and what it says."""

    def __init__(self, ros, process, name="so101_driver"):
        self.ros, self.process, self.name = ros, process, name
        self.states = ros.collect(f"{name}/arm_state", ArmState, qos.LATCHED)
        self.joints = ros.collect("joint_states", JointState, qos.JOINT_STATE_SUB)
        assert ros.change_state(name, "configure")
        assert ros.change_state(name, "activate")
        self.trajectories = ros.publisher("joint_trajectory", JointTrajectory, qos.TRAJECTORY, PATIENCE)
        self.joints.wait(timeout=PATIENCE)
        self.states.wait(timeout=PATIENCE)

    def go(self, position, seconds=1.5, **changes):
        self.trajectories.publish(trajectory([position], [seconds], **changes))

    def call(self, service, service_type=Trigger, **request):
        return self.ros.call(f"{self.name}/{service}", service_type, service_type.Request(**request))

    @property
    def state(self):
        return self.states.messages[-1]

    @property
    def position(self):
        return np.array(self.joints.messages[-1].position)

    def wait_near(self, position, tolerance=0.1, timeout=PATIENCE):
        wait_until(
            lambda: np.abs(self.position - position).max() < tolerance,
            timeout,
            lambda: f"the arm is at {self.position}",
        )

    def wait_mode(self, mode, timeout=PATIENCE):
        wait_until(lambda: self.state.mode == mode, timeout, lambda: f"the state is {self.state}")


def trajectory(positions, times, owner="", joints=JOINT_NAMES, stamp=None):
    msg = JointTrajectory(joint_names=list(joints))
    msg.header.frame_id = owner
    msg.header.stamp = stamp or Time()
    msg.points = [
        JointTrajectoryPoint(positions=list(map(float, position)), time_from_start=duration_from_s(seconds))
        for position, seconds in zip(positions, times, strict=True)
    ]
    return msg


def look(port):
    """What LeRobot's own bus finds at the port: joint positions (6,) in rad, and torque per motor."""
    bus = motors_bus(port.link)
    bus.connect()
    try:
        position = bus.sync_read("Present_Position")
        torque = bus.sync_read("Torque_Enable", normalize=False)
    finally:
        bus.disconnect(disable_torque=False)
    return lerobot_to_radians([position[name] for name in JOINT_NAMES]), [torque[name] for name in JOINT_NAMES]
