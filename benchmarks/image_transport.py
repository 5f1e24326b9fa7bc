"""Images between processes: two cameras, 640x480 rgb8, 30 Hz, each in a process of its own, to one subscriber.

Measured from the stamp of capture to the callback that holds the image as a numpy array, with the packaged Fast DDS
profile and the project's QoS: reliable publishers, best-effort subscriber.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

from benchmarks.harness import Figure, at_most, write_result
from prana_ros.messages.standard import image_to_msg, ns_from_stamp, rgb_from_msg
from prana_ros.nodes import dds, qos
from prana_ros.nodes.run_node import make_executor

CAMERAS = ("table", "wrist")
RATE = 30.0
DISCOVERY_TIMEOUT = 20.0


def publish(camera: str, count: int) -> None:
    """Publish `count` images of noise on the grid of the rate, once somebody listens."""
    node = rclpy.create_node(f"{camera}_source")
    publisher = node.create_publisher(Image, f"{camera}/image_raw", qos.IMAGE_PUB)
    _wait(lambda: publisher.get_subscription_count() > 0)
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    start = time.monotonic() + 0.5
    for k in range(count):
        time.sleep(max(0.0, start + k / RATE - time.monotonic()))
        publisher.publish(image_to_msg(image, "rgb8", node.get_clock().now().nanoseconds, camera))
    _wait(lambda: publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=1.0)))
    node.destroy_node()


class Receiver(Node):
    """Notes for each camera the time from capture to callback, s."""

    def __init__(self) -> None:
        super().__init__("receiver")
        self.latencies: dict[str, list[float]] = {camera: [] for camera in CAMERAS}
        for camera in CAMERAS:
            self.create_subscription(Image, f"{camera}/image_raw", self._receive, qos.IMAGE_SUB)

    def _receive(self, msg: Image) -> None:
        image = rgb_from_msg(msg)
        latency = (self.get_clock().now().nanoseconds - ns_from_stamp(msg.header.stamp)) / 1e9
        assert image.shape == (480, 640, 3)
        self.latencies[msg.header.frame_id].append(latency)


def measure(duration: float) -> None:
    """Run publishers and receiver for `duration` seconds and write the result."""
    count = round(duration * RATE)
    receiver = Receiver()
    executor = make_executor()
    executor.add_node(receiver)
    command = [sys.executable, "-m", "benchmarks.image_transport", "--count", str(count), "--publish"]
    publishers = [subprocess.Popen([*command, camera]) for camera in CAMERAS]
    cpu_before, start = time.process_time(), time.monotonic()
    try:
        while any(publisher.poll() is None for publisher in publishers):
            executor.spin_once(timeout_sec=0.1)
        cpu = (time.process_time() - cpu_before) / (time.monotonic() - start)
        _spin_for(executor, 0.5)  # what is still under way
    finally:
        for publisher in publishers:
            publisher.terminate()
            publisher.wait()
    write_result("image_transport", figures(receiver.latencies, count, cpu), duration_s=duration)


def figures(latencies: dict[str, list[float]], count: int, cpu: float) -> list[Figure]:
    """Return the figures of all images together."""
    milliseconds = np.concatenate(list(latencies.values())) * 1e3
    lost = sum(count - len(received) for received in latencies.values())
    return [
        Figure("images sent", count * len(latencies), ""),
        at_most("images lost", lost, "", 0),
        Figure("capture to callback, median", float(np.median(milliseconds)), "ms"),
        Figure("capture to callback, p99", p99 := float(np.percentile(milliseconds, 99)), "ms", "below 15", p99 < 15),
        Figure("receiver's share of a core", 100 * cpu, "%"),
    ]


def _spin_for(executor, duration: float) -> None:
    end = time.monotonic() + duration
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)


def _wait(condition) -> None:
    end = time.monotonic() + DISCOVERY_TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("publisher and subscriber did not find each other")
        time.sleep(0.01)


def main() -> None:
    """Measure, or be one of the publishers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duration", type=float, default=60.0, help="s")
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--publish", choices=CAMERAS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    dds.use_packaged_profile()
    rclpy.init()
    if arguments.publish:
        publish(arguments.publish, arguments.count)
    else:
        measure(arguments.duration)


if __name__ == "__main__":
    main()
