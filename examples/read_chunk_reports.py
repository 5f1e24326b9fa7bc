"""Print what the policy of a running graph reports of each chunk: how old its inputs were, how long it took, the seam.

prana deploy --sim --policy-path checkpoints/twin_v2      # in another terminal
python examples/read_chunk_reports.py --count 20
"""

import argparse

import rclpy
from rclpy.node import Node

from prana_msgs.msg import ChunkReport


def main() -> None:
    """Print a line for each of ``--count`` chunks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()

    rclpy.init()
    node = Node("read_chunk_reports")
    lines = 0

    def show(report: ChunkReport) -> None:
        nonlocal lines
        lines += 1
        if not report.published:
            print(f"no chunk: {report.reason}")
            return
        inputs = ", ".join(f"{used.name} {1e3 * used.age:.0f} ms" for used in report.inputs)
        seam = max(map(abs, report.seam_position_step), default=0.0)
        print(
            f"chunk {report.chunk_id}: from {inputs}; {1e3 * report.latency:.0f} ms from observation to plan, "
            f"{1e3 * report.denoise_time:.0f} ms of it denoising in {report.denoising_steps} steps; "
            f"{report.prefix_length} steps given by the running plan; largest seam {seam:.4f} rad"
        )

    node.create_subscription(ChunkReport, "policy/chunk_report", show, 100)
    while lines < arguments.count:
        rclpy.spin_once(node)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
