"""What starts a graph of nodes, watches it and takes it down: shared by the command line and the launch file."""
