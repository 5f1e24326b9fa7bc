"""Graphs of nodes as data: which nodes run, with which parameters, in which order. Knows no ROS."""
