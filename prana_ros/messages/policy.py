"""What the policy node publishes, made from what the inference core knows."""

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from prana_msgs.action import RunPolicy
from prana_msgs.msg import ChunkReport, InputAge
from prana_ros.inference.plan import NANOSECONDS, Plan
from prana_ros.inference.run import ChunkEvent, Outcome, RunResult
from prana_ros.inference.streams import InputReading
from prana_ros.messages.diagnostics import OK, WARN, status_to_msg
from prana_ros.messages.standard import stamp_from_ns, trajectory_to_msg
from prana_ros.so101.kinematics import forward
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.trajectory import Trajectory
from prana_ros.so101.urdf import ROOT_LINK

_LINE_WIDTH = 0.003
_GIVEN = ColorRGBA(r=0.5, g=0.5, b=0.5, a=0.9)
_NEW = ColorRGBA(r=0.1, g=0.7, b=0.2, a=0.9)


_OUTCOMES = {
    Outcome.TIME_LIMIT: RunPolicy.Result.OUTCOME_TIME_LIMIT,
    Outcome.CANCELED: RunPolicy.Result.OUTCOME_CANCELED,
    Outcome.STOPPED: RunPolicy.Result.OUTCOME_STOPPED,
    Outcome.INPUT_LOST: RunPolicy.Result.OUTCOME_INPUT_LOST,
    Outcome.ERROR: RunPolicy.Result.OUTCOME_ERROR,
}


def plan_to_msg(plan: Plan, owner: str) -> JointTrajectory:
    """A plan as the driver takes it: positions only, the start in the stamp, the owner in ``header.frame_id``."""
    times_s = (plan.times_ns - plan.start_ns) / NANOSECONDS
    return trajectory_to_msg(Trajectory(owner, plan.start_ns, JOINT_NAMES, times_s, plan.positions))


def chunk_event_to_msg(event: ChunkEvent, denoising_steps: int) -> ChunkReport:
    """The outcome of one inference."""
    report = ChunkReport(published=event.sent, reason=event.reason)
    chunk = event.chunk
    if chunk is None:
        report.header.stamp = stamp_from_ns(event.time_ns)
        return report
    prediction = chunk.prediction
    report.header.stamp = stamp_from_ns(chunk.observation.t_obs_ns)
    report.chunk_id = chunk.chunk_id
    report.inputs = [_input_msg(reading) for reading in chunk.observation.readings]
    report.skew = chunk.observation.skew
    report.preprocess_time = prediction.preprocess_time
    report.context_time = prediction.context_time
    report.denoise_time = prediction.denoise_time
    report.postprocess_time = prediction.postprocess_time
    report.latency = (event.time_ns - chunk.observation.t_obs_ns) / NANOSECONDS
    report.denoising_steps = denoising_steps
    report.noise_seed = chunk.noise_seed
    report.prefix_length = chunk.prefix_length
    if event.seam is not None:
        report.seam_position_step = event.seam.position_step.tolist()
        report.seam_velocity_step = event.seam.velocity_step.tolist()
    return report


def preview_to_msg(plan: Plan, prefix_length: int, frame_prefix: str) -> MarkerArray:
    """The tool's way along a plan, in the base frame: gray where it was given by the plan before, then green."""
    ways = [Point(x=x, y=y, z=z) for x, y, z in forward(plan.positions)[:, :3, 3].tolist()]
    header = Header(stamp=stamp_from_ns(plan.start_ns), frame_id=frame_prefix + ROOT_LINK)
    handover = max(prefix_length - 1, 0)
    return MarkerArray(
        markers=[
            _line(header, 0, ways[: handover + 1], _GIVEN),
            _line(header, 1, ways[handover:], _NEW),
        ]
    )


def policy_diagnostics(
    node_name: str, kind: str, chunk_rate: float, latency_p95: float, lost: dict[str, int], message: str, ok: bool
) -> DiagnosticStatus:
    """The policy's line of diagnostics; ``latency_p95`` in s, ``lost`` frames by input."""
    values = (
        ("chunks per second", f"{chunk_rate:.2f}"),
        ("inference latency p95 (s)", f"{latency_p95:.4f}"),
        *((f"frames lost: {name}", count) for name, count in lost.items()),
    )
    return status_to_msg(node_name, message, values, OK if ok else WARN, kind)


def _input_msg(reading: InputReading) -> InputAge:
    return InputAge(
        name=reading.name,
        stamp=stamp_from_ns(reading.stamp_ns),
        age=reading.age,
        frames_received=reading.received,
        frames_lost=reading.lost,
    )


def _line(header: Header, number: int, points: list[Point], color: ColorRGBA) -> Marker:
    # A line needs two points; an empty one deletes what an earlier plan drew.
    marker = Marker(header=header, ns="plan", id=number, type=Marker.LINE_STRIP, color=color)
    marker.action = Marker.ADD if len(points) > 1 else Marker.DELETE
    marker.scale = Vector3(x=_LINE_WIDTH, y=_LINE_WIDTH, z=_LINE_WIDTH)
    marker.pose.orientation.w = 1.0
    marker.points = points if len(points) > 1 else []
    return marker


def run_result_to_msg(result: RunResult) -> RunPolicy.Result:
    """How a run of the policy ended."""
    return RunPolicy.Result(outcome=_OUTCOMES[result.outcome], message=result.message, chunks=result.chunks)
