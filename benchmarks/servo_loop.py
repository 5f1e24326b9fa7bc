"""The driver's 100 Hz loop on the virtual bus, with the rest of the graph running: `prana deploy` on the twin.

Periods are taken from the stamps of `so101_driver/commanded`, the driver's own clock at the start of each cycle; lost
commands are those that the driver could not write to the bus. The graph runs in real time, whatever the machine keeps,
and the policy drives the arm through one episode after the other.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState

from benchmarks.harness import Figure, at_most, write_result
from prana_msgs.msg import ArmState, EpisodeStatus
from prana_ros import resources
from prana_ros.messages.standard import ns_from_stamp
from prana_ros.nodes import dds, qos
from prana_ros.nodes.run_node import make_executor

RATE = 100.0
START_TIME = 180.0
"""Seconds in which the first episode must have begun."""
STOP_TIME = 90.0
"""Seconds in which the graph must have come down; the arm goes slowly to rest."""
COMMANDED = qos.REPORT
"""No stamp may be missing here, or two periods would look like a long one."""


class Listener(Node):
    """Notes the stamps of the commands, and the driver's and the series' last reports."""

    def __init__(self) -> None:
        super().__init__("servo_loop_benchmark")
        self.stamps: list[int] = []
        self.arm: ArmState | None = None
        self.running = False
        self.create_subscription(JointState, "so101_driver/commanded", self._take_command, COMMANDED)
        self.create_subscription(ArmState, "so101_driver/arm_state", self._take_arm, qos.LATCHED)
        self.create_subscription(EpisodeStatus, "episodes/status", self._take_status, qos.REPORT)

    def _take_command(self, msg: JointState) -> None:
        self.stamps.append(ns_from_stamp(msg.header.stamp))

    def _take_arm(self, msg: ArmState) -> None:
        self.arm = msg

    def _take_status(self, msg: EpisodeStatus) -> None:
        self.running = self.running or msg.state == EpisodeStatus.STATE_RUNNING


def measure(duration: float, policy_path: str) -> list[Figure]:
    """Run the graph and return the figures of `duration` seconds of it."""
    listener = Listener()
    executor = make_executor()
    executor.add_node(listener)
    with _graph(policy_path) as graph:
        _spin(executor, graph, START_TIME, lambda: listener.running and listener.arm is not None)
        if not listener.running or listener.arm is None:
            raise SystemExit(f"the graph ran no episode within {START_TIME:.0f} s")
        listener.stamps.clear()
        before = listener.arm
        _spin(executor, graph, duration)
        stamps = np.array(listener.stamps)
        # The report is made once a second: the last one covers the whole time but for the last second.
        after = listener.arm
        if graph.poll() is not None:
            raise SystemExit(f"the graph ended with {graph.returncode} during the measurement")
    return figures(stamps, before, after)


def figures(stamps: np.ndarray, before: ArmState, after: ArmState) -> list[Figure]:
    """Return the figures from the stamps of the commands (N,), in ns, and the driver's first and last report."""
    periods = np.diff(stamps) * 1e-6
    errors = np.abs(periods - 1e3 / RATE)
    seconds = (stamps[-1] - stamps[0]) * 1e-9
    p99 = float(np.percentile(errors, 99))
    return [
        Figure("commands sent", len(stamps), ""),
        Figure("rate", (len(stamps) - 1) / seconds, "Hz"),
        Figure("period error, median", float(np.median(errors)), "ms"),
        Figure("period error, p99", p99, "ms", "below 5", p99 < 5.0),
        Figure("period error, largest", float(errors.max()), "ms"),
        at_most("commands lost", after.commands_lost - before.commands_lost, "", 0),
        Figure("trajectories played", after.trajectories_accepted - before.trajectories_accepted, ""),
        Figure("bus errors", sum(m.communication_errors for m in after.motors)
               - sum(m.communication_errors for m in before.motors), ""),
    ]  # fmt: skip


@contextmanager
def _graph(policy_path: str) -> Iterator[subprocess.Popen]:
    """`prana deploy` on the twin, brought down in order at the end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-c", "from prana_ros.cli import main; main()", "deploy", "--sim",
            "--real-time-factor", "1", "--policy-path", policy_path, "--episodes", "1000", "--output", folder,
        ]  # fmt: skip
        graph = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            yield graph
        finally:
            graph.send_signal(signal.SIGINT)
            try:
                graph.wait(STOP_TIME)
            except subprocess.TimeoutExpired:
                graph.kill()
                graph.wait()


def _spin(executor, graph: subprocess.Popen, seconds: float, condition=lambda: False) -> None:
    """Take messages for `seconds`, or until the condition holds or the graph ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and graph.poll() is None and not condition():
        executor.spin_once(timeout_sec=0.05)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duration", type=float, default=60.0, help="s")
    parser.add_argument("--policy-path", default="", help="checkpoint (default: the packaged one)")
    arguments = parser.parse_args()
    policy_path = arguments.policy_path or str(resources.packaged("checkpoints", "twin_v2"))
    dds.use_packaged_profile()
    rclpy.init()
    result = measure(arguments.duration, policy_path)
    write_result("servo_loop", result, duration_s=arguments.duration)


if __name__ == "__main__":
    main()
