"""What a policy node meets, over real DDS: cameras and joints that publish, and a driver's side of the ownership."""

import threading
import time

import numpy as np
from rclpy.callback_groups import CallbackGroup
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from prana_msgs.msg import ArmState
from prana_msgs.srv import Acquire, Release
from prana_ros.messages.standard import image_to_msg, joint_state_to_msg
from prana_ros.nodes import qos
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.ownership import Ownership, OwnershipError
from prana_ros.so101.units import lerobot_to_radians
from support.checkpoints import HEIGHT, WIDTH, state
from support.ros import Collector, RosProbe

CAMERA_PERIOD = 0.05
JOINT_PERIOD = 0.01


class Robot:
    """Publishes images (20 Hz) and joint states (100 Hz) until `close`; each input can be silenced, frozen or slow."""

    def __init__(self, ros: RosProbe) -> None:
        self.joints = lerobot_to_radians(state())
        self.silent: set[str] = set()
        self.frozen: set[str] = set()
        self.size = {"table": (HEIGHT, WIDTH), "wrist": (HEIGHT, WIDTH)}
        self.encoding = "rgb8"
        self.period = {"table": CAMERA_PERIOD, "wrist": CAMERA_PERIOD, "joint_states": JOINT_PERIOD}
        self.names = JOINT_NAMES
        self._ros = ros
        self._publishers = {
            name: ros.node.create_publisher(Image, f"{name}/image_raw", qos.IMAGE_PUB) for name in self.size
        }
        self._publishers["joint_states"] = ros.node.create_publisher(JointState, "joint_states", qos.JOINT_STATE_PUB)
        self._stamps: dict[str, int] = {}
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._publish, args=(name,)) for name in self._publishers]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _publish(self, name: str) -> None:
        rng = np.random.default_rng(0)
        while not self._ended.wait(self.period[name]):
            if name in self.silent:
                continue
            if name not in self.frozen or name not in self._stamps:
                self._stamps[name] = time.time_ns()
            stamp = self._stamps[name]
            if name == "joint_states":
                self._publishers[name].publish(
                    joint_state_to_msg(self.names, self.joints[: len(self.names)], None, None, stamp)
                )
            else:
                image = rng.integers(0, 256, (*self.size[name], 3), dtype=np.uint8)
                msg = image_to_msg(image, "rgb8", stamp, name)
                msg.encoding = self.encoding
                self._publishers[name].publish(msg)


class DriverSide:
    """The driver's services and topics as far as a commander sees them, with the driver's own rules of ownership."""

    def __init__(self, ros: RosProbe, group: CallbackGroup | None = None) -> None:
        self.ownership = Ownership()
        self.heartbeats: list[float] = []
        self.trajectories: Collector = ros.collect("joint_trajectory", JointTrajectory, qos.TRAJECTORY)
        self._states = ros.node.create_publisher(ArmState, "so101_driver/arm_state", qos.LATCHED)
        ros.node.create_service(Acquire, "so101_driver/acquire", self._acquire, callback_group=group)
        ros.node.create_service(Release, "so101_driver/release", self._release, callback_group=group)

    def stop(self, message: str) -> None:
        """Report a stop."""
        self._tell(mode=ArmState.MODE_STOPPED, stop_reason=ArmState.STOP_SERVICE, stop_message=message)

    def switch_torque_off(self) -> None:
        """Report that the torque was switched off, which takes the arm from its owner."""
        self.ownership.revoke()
        self._tell(mode=ArmState.MODE_TORQUE_OFF)

    def _acquire(self, request: Acquire.Request, response: Acquire.Response) -> Acquire.Response:
        try:
            self.ownership.acquire(request.owner, request.heartbeat_timeout, time.monotonic())
        except OwnershipError as error:
            response.message = str(error)
            return response
        self.heartbeats.append(request.heartbeat_timeout)
        response.success = True
        self._tell(mode=ArmState.MODE_HOLDING)
        return response

    def _release(self, request: Release.Request, response: Release.Response) -> Release.Response:
        try:
            self.ownership.release(request.owner)
        except OwnershipError as error:
            response.message = str(error)
            return response
        response.success = True
        self._tell(mode=ArmState.MODE_HOLDING)
        return response

    def _tell(self, **fields: object) -> None:
        self._states.publish(ArmState(owner=self.ownership.owner, **fields))

    def take_over(self, owner: str) -> None:
        """Somebody with the right to it takes the arm from its owner."""
        self.ownership.owner = owner
        self._tell(mode=ArmState.MODE_HOLDING)
