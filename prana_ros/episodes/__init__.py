"""Episodes: series of them, and what they leave behind. No rclpy."""
