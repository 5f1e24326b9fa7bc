"""From observations to a timed plan of joint positions: checkpoints, pairing, seams, scheduling. No ROS."""
