"""Listens to a running graph and hands plain records to whoever wants them: a status line, a log, a video."""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from prana_msgs.msg import ArmState, ChunkReport, EpisodeStatus
from prana_ros.nodes import qos
from prana_ros.nodes.messages import msg_to_rgb, ns_from_stamp
from prana_ros.report.records import ArmRecord, ChunkRecord, InputRecord, JointRecord, SeriesRecord
from prana_ros.so101.figures import JOINT_NAMES

_MODE_NAMES = ("limp", "holding", "following", "returning", "stopped", "partly_limp")
_MODES = {getattr(ArmState, f"MODE_{name.upper()}"): name for name in _MODE_NAMES}
_STATES = {getattr(EpisodeStatus, f"STATE_{s.upper()}"): s for s in ("idle", "resetting", "running", "done")}


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
        ChunkReport, "policy/chunk_report", lambda msg: listener.on_chunk(chunk_record(msg)), qos.REPORT
    )
    node.create_subscription(
        ArmState, "so101_driver/arm_state", lambda msg: listener.on_arm(arm_record(msg)), qos.LATCHED
    )
    node.create_subscription(
        EpisodeStatus, "episodes/status", lambda msg: listener.on_series(series_record(msg)), qos.REPORT
    )


def observe_motion(node: Node, cameras: Iterable[str], listener: MotionListener) -> None:
    """Subscribe to the joints, commanded and measured, and to the cameras."""
    _observe_joints(node, "joint_states", listener.on_measured)
    _observe_joints(node, "so101_driver/commanded", listener.on_commanded)
    for camera in cameras:
        _observe_camera(node, camera, listener)


def _observe_joints(node: Node, topic: str, take: Callable[[JointRecord], None]) -> None:
    def callback(msg: JointState) -> None:
        positions = dict(zip(msg.name, msg.position, strict=True))
        take(JointRecord(_seconds(msg), tuple(positions[name] for name in JOINT_NAMES)))

    node.create_subscription(JointState, topic, callback, qos.JOINT_STATE_SUB)


def _observe_camera(node: Node, camera: str, listener: MotionListener) -> None:
    def callback(msg: Image) -> None:
        listener.on_frame(camera, _seconds(msg), msg_to_rgb(msg))

    node.create_subscription(Image, f"{camera}/image_raw", callback, qos.IMAGE_SUB)


def chunk_record(msg: ChunkReport) -> ChunkRecord:
    """Return a chunk report as a record."""
    return ChunkRecord(
        time=_seconds(msg),
        chunk_id=msg.chunk_id,
        latency=msg.latency,
        preprocess_time=msg.preprocess_time,
        context_time=msg.context_time,
        denoise_time=msg.denoise_time,
        postprocess_time=msg.postprocess_time,
        prefix_length=msg.prefix_length,
        published=msg.published,
        reason=msg.reason,
        seam_position_step=tuple(msg.seam_position_step),
        seam_velocity_step=tuple(msg.seam_velocity_step),
        inputs={i.name: InputRecord(i.age, i.frames_received, i.frames_lost) for i in msg.inputs},
    )


def arm_record(msg: ArmState) -> ArmRecord:
    """Return the driver's report as a record."""
    return ArmRecord(
        time=_seconds(msg),
        mode=_MODES.get(msg.mode, f"mode {msg.mode}"),
        # An arm that is shut down was asked to; that is no stop to be told of.
        stop_message="" if msg.stop_reason == ArmState.STOP_SHUTDOWN else msg.stop_message,
        owner=msg.owner,
        trajectories_accepted=msg.trajectories_accepted,
        trajectories_refused=msg.trajectories_refused,
        last_refusal=msg.last_refusal,
        commands_sent=msg.commands_sent,
        commands_lost=msg.commands_lost,
        commands_limited=msg.commands_limited,
        cycle_rate=msg.cycle_rate,
        period_error_p99=msg.period_error_p99,
        communication_errors=sum(motor.communication_errors for motor in msg.motors),
        highest_temperature=max((motor.temperature for motor in msg.motors), default=float("nan")),
    )


def series_record(msg: EpisodeStatus) -> SeriesRecord:
    """Return the report of the series of episodes as a record."""
    return SeriesRecord(
        time=_seconds(msg),
        state=_STATES.get(msg.state, f"state {msg.state}"),
        episode=msg.episode,
        episodes=msg.episodes,
        elapsed=msg.elapsed,
        outcomes=tuple(msg.outcomes),
    )


def _seconds(msg: ChunkReport | ArmState | EpisodeStatus | JointState | Image) -> float:
    return 1e-9 * ns_from_stamp(msg.header.stamp)
