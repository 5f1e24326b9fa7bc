"""Listens to a running graph and hands plain records to a listener: a status line, a log, a video."""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from prana_msgs.msg import ArmState, ChunkReport, EpisodeStatus
from prana_ros.messages.records import (
    arm_record_from_msg,
    chunk_record_from_msg,
    joint_record_from_msg,
    series_record_from_msg,
)
from prana_ros.messages.standard import rgb_from_msg, s_from_stamp
from prana_ros.nodes import qos
from prana_ros.report.records import ArmRecord, ChunkRecord, JointRecord, SeriesRecord


class Listener(Protocol):
    """Takes the records of the nodes' own reports; called in the thread that spins the node."""

    def on_chunk(self, record: ChunkRecord) -> None:
        """A chunk of actions was made."""

    def on_arm(self, record: ArmRecord) -> None:
        """The driver reported."""

    def on_series(self, record: SeriesRecord) -> None:
        """The series of episodes reported."""


class MotionListener(Protocol):
    """Takes what the arm does and what the cameras see."""

    def on_measured(self, record: JointRecord) -> None:
        """The joints were read."""

    def on_commanded(self, record: JointRecord) -> None:
        """The joints were commanded."""

    def on_frame(self, camera: str, time: float, image: np.ndarray) -> None:
        """A frame (H, W, 3), rgb8, was captured at ``time`` (s)."""


def observe_reports(node: Node, listener: Listener) -> None:
    """Subscribe to the reports of the graph in the node's namespace."""
    node.create_subscription(
        ChunkReport, "policy/chunk_report", lambda msg: listener.on_chunk(chunk_record_from_msg(msg)), qos.REPORT
    )
    node.create_subscription(
        ArmState, "so101_driver/arm_state", lambda msg: listener.on_arm(arm_record_from_msg(msg)), qos.LATCHED
    )
    node.create_subscription(
        EpisodeStatus, "episodes/status", lambda msg: listener.on_series(series_record_from_msg(msg)), qos.REPORT
    )


def observe_motion(node: Node, cameras: Iterable[str], listener: MotionListener) -> None:
    """Subscribe to the joints, commanded and measured, and to the cameras."""
    _observe_joints(node, "joint_states", listener.on_measured)
    _observe_joints(node, "so101_driver/commanded", listener.on_commanded)
    for camera in cameras:
        _observe_camera(node, camera, listener)


def _observe_joints(node: Node, topic: str, take: Callable[[JointRecord], None]) -> None:
    node.create_subscription(JointState, topic, lambda msg: take(joint_record_from_msg(msg)), qos.JOINT_STATE_SUB)


def _observe_camera(node: Node, camera: str, listener: MotionListener) -> None:
    def callback(msg: Image) -> None:
        listener.on_frame(camera, s_from_stamp(msg.header.stamp), rgb_from_msg(msg))

    node.create_subscription(Image, f"{camera}/image_raw", callback, qos.IMAGE_SUB)
