"""Move joints of a running graph by a trajectory, as any client of JointTrajectoryController does.

prana deploy --sim --no-series --policy-path checkpoints/twin_v2      # in another terminal
python examples/send_trajectory.py shoulder_pan=0.4 gripper=1.0 --seconds 2
"""

import argparse

import rclpy
from builtin_interfaces.msg import Duration
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint


def main() -> None:
    """Send one point, wait for it to pass, and print where the joints are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("goals", nargs="+", metavar="JOINT=RADIANS")
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    goals = {name: float(angle) for name, angle in (goal.split("=") for goal in arguments.goals)}

    rclpy.init()
    node = Node("send_trajectory")
    publisher = node.create_publisher(JointTrajectory, "joint_trajectory", 10)
    latest: list[JointState] = []
    node.create_subscription(JointState, "joint_states", lambda msg: latest.append(msg), 10)
    while not (publisher.get_subscription_count() and latest):
        rclpy.spin_once(node, timeout_sec=0.1)

    # No stamp: the trajectory begins when the driver gets it. Joints that it does not name hold.
    point = JointTrajectoryPoint(positions=list(goals.values()))
    point.time_from_start = Duration(sec=int(arguments.seconds), nanosec=int(arguments.seconds % 1 * 1e9))
    publisher.publish(JointTrajectory(joint_names=list(goals), points=[point]))

    # Measured by the stamps of the joint states, which are simulated time where the twin runs below real time.
    begin = seconds(latest[-1])
    while seconds(latest[-1]) < begin + arguments.seconds + 1.0:
        rclpy.spin_once(node, timeout_sec=0.1)
    positions = dict(zip(latest[-1].name, latest[-1].position, strict=True))
    for name, goal in goals.items():
        print(f"{name}: asked for {goal:.3f} rad, is at {positions[name]:.3f} rad")
    rclpy.shutdown()


def seconds(msg: JointState) -> float:
    """Return the time at which the joints were read."""
    return msg.header.stamp.sec + 1e-9 * msg.header.stamp.nanosec


if __name__ == "__main__":
    main()
