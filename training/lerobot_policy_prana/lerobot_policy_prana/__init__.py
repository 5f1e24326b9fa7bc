"""Importing this package registers the policies and the camera of prana_ros with LeRobot."""

import importlib
import pkgutil

import prana_ros.cameras.config_lerobot_camera
import prana_ros.policies

# Each policy's package imports its configuration, whose decorator registers it.
for _module in pkgutil.iter_modules(prana_ros.policies.__path__, "prana_ros.policies."):
    if _module.ispkg:
        importlib.import_module(_module.name)
