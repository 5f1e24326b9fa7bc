"""The SO-101 arm: model, kinematics, units, calibration, bus, trajectories, stop ladder. No ROS."""
