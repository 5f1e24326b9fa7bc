"""ROS messages to plain values and back. The message packages are known here, rclpy is not."""
