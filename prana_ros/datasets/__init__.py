"""LeRobot datasets: opening them, writing them, keeping their decoded frames."""
