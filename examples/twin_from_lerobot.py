"""Drive the twin with plain LeRobot, as a real SO-101: nothing of prana_ros is imported, and no ROS.

prana twin --link /tmp/so101 --robot-id twin      # in another terminal
python examples/twin_from_lerobot.py --port /tmp/so101
"""

import argparse
import time

from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig

WAYPOINTS = (
    {"shoulder_lift.pos": -60.0, "elbow_flex.pos": 60.0},
    {"shoulder_pan.pos": 30.0, "gripper.pos": 80.0},
    {"shoulder_pan.pos": 0.0, "shoulder_lift.pos": -97.0, "elbow_flex.pos": 91.0, "gripper.pos": 10.0},
)
"""Degrees, the gripper from 0 to 100."""
STEPS = 50


def main() -> None:
    """Go through the waypoints and back to rest, in straight lines at 50 goals a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", required=True, help="the link of prana twin, or /dev/ttyACM0")
    parser.add_argument("--robot-id", default="twin")
    arguments = parser.parse_args()

    robot = SO101Follower(SO101FollowerConfig(port=arguments.port, id=arguments.robot_id))
    robot.connect(calibrate=False)
    goal = {key: value for key, value in robot.get_observation().items() if key.endswith(".pos")}
    for waypoint in WAYPOINTS:
        start = dict(goal)
        for step in range(1, STEPS + 1):
            for key, end in waypoint.items():
                goal[key] = start[key] + (end - start[key]) * step / STEPS
            robot.send_action(goal)
            time.sleep(1.0 / STEPS)
        time.sleep(0.5)
        now = robot.get_observation()
        print(", ".join(f"{key.removesuffix('.pos')} {now[key]:.1f}" for key in goal))
    robot.disconnect()


if __name__ == "__main__":
    main()
