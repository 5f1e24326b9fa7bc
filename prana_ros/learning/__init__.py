"""Training and its evaluation without a robot: the data that LeRobot's trainer reads, and what it leaves. No ROS."""
