"""The nodes' own reports as the plain records that status line, log and plots are made of."""

from sensor_msgs.msg import JointState

from prana_msgs.msg import ArmState, ChunkReport, EpisodeStatus
from prana_ros.messages.standard import s_from_stamp
from prana_ros.report.records import ArmRecord, ChunkRecord, InputRecord, JointRecord, SeriesRecord
from prana_ros.so101.model import JOINT_NAMES

_MODE_NAMES = ("torque_off", "holding", "following", "returning", "stopped", "torque_partly_off")

_MODES = {getattr(ArmState, f"MODE_{name.upper()}"): name for name in _MODE_NAMES}

_STATES = {getattr(EpisodeStatus, f"STATE_{s.upper()}"): s for s in ("idle", "resetting", "running", "done")}


def chunk_record_from_msg(msg: ChunkReport) -> ChunkRecord:
    """Return a chunk report as a record."""
    return ChunkRecord(
        time=s_from_stamp(msg.header.stamp),
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


def arm_record_from_msg(msg: ArmState) -> ArmRecord:
    """Return the driver's report as a record."""
    return ArmRecord(
        time=s_from_stamp(msg.header.stamp),
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


def series_record_from_msg(msg: EpisodeStatus) -> SeriesRecord:
    """Return the report of the series of episodes as a record."""
    return SeriesRecord(
        time=s_from_stamp(msg.header.stamp),
        state=_STATES.get(msg.state, f"state {msg.state}"),
        episode=msg.episode,
        episodes=msg.episodes,
        elapsed=msg.elapsed,
        outcomes=tuple(msg.outcomes),
    )


def joint_record_from_msg(msg: JointState) -> JointRecord:
    """Return the positions of the arm's joints as a record."""
    positions = dict(zip(msg.name, msg.position, strict=True))
    return JointRecord(s_from_stamp(msg.header.stamp), tuple(positions[name] for name in JOINT_NAMES))
