"""ROS 2 nodes: each file is the shell around one class of the core, plus the ROS helpers they share."""
