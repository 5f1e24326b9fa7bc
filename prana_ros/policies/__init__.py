"""Visuomotor policies in LeRobot's conventions, and the modules they share. PyTorch, no ROS."""
