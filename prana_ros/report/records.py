"""What an observer of the running graph notes, as plain values.

All times are seconds of the graph's clock (``/clock`` where the twin runs below real time); joint values follow
``prana_ros.so101.model.JOINT_NAMES`` in rad and rad/s.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputRecord:
    """One input of an inference: its age (s) and its frames since activation."""

    age: float
    frames_received: int
    frames_lost: int


@dataclass(frozen=True)
class ChunkRecord:
    """One inference: when its observation was made, what it cost (s) and how its chunk joined the plan before it."""

    time: float
    chunk_id: int
    latency: float
    preprocess_time: float
    context_time: float
    denoise_time: float
    postprocess_time: float
    prefix_length: int
    published: bool
    reason: str
    seam_position_step: tuple[float, ...]
    seam_velocity_step: tuple[float, ...]
    inputs: dict[str, InputRecord]

    @property
    def was_made(self) -> bool:
        """Whether there is a chunk; where no inference could be made, there is only the reason."""
        return bool(self.inputs)

    @property
    def seam_time(self) -> float:
        """When the chunk took over from the plan before it: capture of its observation plus latency."""
        return self.time + self.latency


@dataclass(frozen=True)
class ArmRecord:
    """The driver's state. ``period_error_p99`` (s) and ``cycle_rate`` (Hz) are over the driver's last 10 s."""

    time: float
    mode: str
    stop_message: str
    owner: str
    trajectories_accepted: int
    trajectories_refused: int
    last_refusal: str
    commands_sent: int
    commands_lost: int
    commands_limited: int
    cycle_rate: float
    period_error_p99: float
    communication_errors: int
    highest_temperature: float


@dataclass(frozen=True)
class SeriesRecord:
    """Progress of the series of episodes; ``outcomes`` are those of the episodes that are over."""

    time: float
    state: str
    episode: int
    episodes: int
    elapsed: float
    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class JointRecord:
    """Positions of the joints, commanded or measured, in rad."""

    time: float
    position: tuple[float, ...]
