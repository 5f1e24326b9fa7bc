"""Records as an observer of the graph would note them."""

from prana_ros.report.records import ArmRecord, ChunkRecord, InputRecord, JointRecord, SeriesRecord


def chunk(time: float, latency: float = 0.05, published: bool = True, lost: int = 0, seam: float = 0.01) -> ChunkRecord:
    return ChunkRecord(
        time=time,
        chunk_id=0,
        latency=latency,
        preprocess_time=0.001,
        context_time=0.01,
        denoise_time=0.02,
        postprocess_time=0.001,
        prefix_length=3,
        published=published,
        reason="" if published else "the table camera is frozen",
        seam_position_step=(0.0, -seam, 0.0, 0.0, 0.0, 0.0),
        seam_velocity_step=(0.0,) * 6,
        inputs={"joint_states": InputRecord(0.01, 100, 50), "table": InputRecord(0.03, 10, lost)},
    )


def no_chunk(time: float, reason: str) -> ChunkRecord:
    """What the policy reports where it could make none."""
    return ChunkRecord(time, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, False, reason, (), (), {})


def arm(time: float, jitter: float = 0.001, mode: str = "following", stop: str = "") -> ArmRecord:
    return ArmRecord(
        time=time,
        mode=mode,
        stop_message=stop,
        owner="policy",
        trajectories_accepted=10,
        trajectories_refused=0,
        last_refusal="",
        commands_sent=1000,
        commands_lost=0,
        commands_limited=3,
        cycle_rate=99.9,
        period_error_p99=jitter,
        communication_errors=0,
        highest_temperature=31.0,
    )


def series(time: float, state: str, episode: int, outcomes: list[str] | None = None) -> SeriesRecord:
    return SeriesRecord(time, state, episode, 2, 0.0, tuple(outcomes or ()))


def joints(time: float, position: float) -> JointRecord:
    return JointRecord(time, (position,) * 6)
