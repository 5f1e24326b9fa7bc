"""What a run leaves behind: its log, a video, a plot of the joints and a summary. No ROS."""
