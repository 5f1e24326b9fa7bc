"""The twin: a MuJoCo SO-101 with a table, a screwdriver and a box, and what is done with it. No ROS."""

import ctypes.util
import os

if "MUJOCO_GL" not in os.environ and "DISPLAY" not in os.environ:
    # MuJoCo chooses its OpenGL at import; both of these draw without a screen, with identical images.
    os.environ["MUJOCO_GL"] = "egl" if ctypes.util.find_library("EGL") else "osmesa"
