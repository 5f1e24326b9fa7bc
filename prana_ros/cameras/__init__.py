"""Frame sources: whatever can stand behind a camera node. No ROS."""
