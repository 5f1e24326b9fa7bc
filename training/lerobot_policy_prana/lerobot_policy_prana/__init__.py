"""Importing this package registers the policies and the camera of prana_ros with LeRobot."""

import prana_ros.cameras.config_lerobot_camera
import prana_ros.policies.registration  # noqa: F401
