"""Whether the message of TF is here."""

import importlib.util

import pytest

HAS_TF = importlib.util.find_spec("tf2_msgs") is not None
needs_tf = pytest.mark.skipif(not HAS_TF, reason="tf2_msgs is not installed: it comes with ROS 2, not as wheels")
