"""Importing this module registers all policies of this package with LeRobot, by their configurations."""

from prana_ros.policies import prana_v1, prana_v2, prana_v3

__all__ = ["prana_v1", "prana_v2", "prana_v3"]
