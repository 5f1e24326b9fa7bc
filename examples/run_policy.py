"""Let the policy of a running graph drive the arm for some seconds, by its action.

prana deploy --sim --no-series --policy-path checkpoints/twin_v2      # in another terminal
python examples/run_policy.py --task "Put the screwdriver into the box" --seconds 15
"""

import argparse

import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node

from prana_msgs.action import RunPolicy

OUTCOMES = {
    getattr(RunPolicy.Result, name): name.removeprefix("OUTCOME_").replace("_", " ").lower()
    for name in dir(RunPolicy.Result)
    if name.startswith("OUTCOME_")
}


def main() -> None:
    """Send a goal, print the feedback, and at the end how it went. Ctrl-C ends the run; the arm then holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="Put the screwdriver into the box")
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()

    rclpy.init()
    node = Node("run_policy")
    client = ActionClient(node, RunPolicy, "policy/run_policy")
    client.wait_for_server()
    goal = RunPolicy.Goal(task=arguments.task, time_limit=arguments.seconds)

    def show(message: RunPolicy.Impl.FeedbackMessage) -> None:
        print(f"{message.feedback.elapsed:.1f} s, {message.feedback.chunks} chunks")

    accepted = client.send_goal_async(goal, show)
    rclpy.spin_until_future_complete(node, accepted)
    handle = accepted.result()
    if not handle.accepted:
        raise SystemExit("the policy refused: is it active, and does nothing else run?")
    finished = handle.get_result_async()
    try:
        rclpy.spin_until_future_complete(node, finished)
    except KeyboardInterrupt:
        rclpy.spin_until_future_complete(node, handle.cancel_goal_async())
        rclpy.spin_until_future_complete(node, finished)
    result = finished.result().result
    print(f"{OUTCOMES[result.outcome]}: {result.message} ({result.chunks} chunks)")
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
