"""Notes what happens in a running graph."""

from rclpy.node import Node

from prana_ros.nodes.observer import Listener, MotionListener, observe_motion, observe_reports
from prana_ros.report.log import RunLog
from prana_ros.report.records import ArmRecord, ChunkRecord, JointRecord, SeriesRecord


class RunLogger(Listener, MotionListener):
    """Keeps the log of a run; a subclass says what becomes of the images of the cameras."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self.log = RunLog()
        self._cameras = cameras

    def observe(self, node: Node) -> None:
        """Subscribe to everything that is noted."""
        observe_reports(node, self)
        observe_motion(node, self._cameras, self)

    def on_chunk(self, record: ChunkRecord) -> None:
        """Take a chunk report."""
        self.log.chunks.append(record)

    def on_arm(self, record: ArmRecord) -> None:
        """Take a report of the driver."""
        self.log.arm.append(record)

    def on_series(self, record: SeriesRecord) -> None:
        """Take a report of the series of episodes."""
        self.log.series.append(record)

    def on_measured(self, record: JointRecord) -> None:
        """Take a measurement of the joints."""
        self.log.measured.append(record)

    def on_commanded(self, record: JointRecord) -> None:
        """Take a command to the joints."""
        self.log.commanded.append(record)
