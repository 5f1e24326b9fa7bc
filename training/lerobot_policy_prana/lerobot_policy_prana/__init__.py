"""Importing this package registers the policies, the camera and the environment of prana_ros with LeRobot."""

import prana_ros.cameras.config_lerobot_camera
import prana_ros.evaluation.config_lerobot_environment
import prana_ros.policies.registration  # noqa: F401
