"""The SO-101 arm: figures, kinematics, units, calibration, bus, trajectory player, stop ladder. No ROS."""
