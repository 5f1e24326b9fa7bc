"""Episodes of a policy through the running graph on the twin, noted as evaluation knows them."""

import dataclasses
import math
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prana_ros.bringup.parameters import parameters_of
from prana_ros.bringup.preparation import graph_of, with_real_time_factor
from prana_ros.bringup.run_logger import RunLogger
from prana_ros.bringup.session import run_graph
from prana_ros.bringup.terminal import Terminal
from prana_ros.evaluation.episode import OUTCOMES, SUCCESS, Episode
from prana_ros.evaluation.evaluate_lockstep import Trials
from prana_ros.evaluation.evaluated_policy import EvaluatedPolicy
from prana_ros.evaluation.failure_strip import PAGES, STRIPS_A_PAGE, StripRecorder
from prana_ros.evaluation.policy_view import PolicyView
from prana_ros.evaluation.result import GRAPH, Evaluation
from prana_ros.evaluation.smoothness import jerk, path_length
from prana_ros.graphs.deploy import TWIN_CAMERAS, DeployOptions
from prana_ros.graphs.spec import Graph
from prana_ros.inference.spec import PolicySpec
from prana_ros.report import log
from prana_ros.report.records import SeriesRecord
from prana_ros.simulation.task import TASK

BROKEN_OFF = "stop"
_BY_USER = ("unfinished", "aborted: interrupted")


@dataclass
class GraphEpisodes:
    """What came of a series through the graph.

    Attributes:
        episodes: those that ended, in order of their scenes.
        playback: how the graph ran.
        figures: of each time that the graph ran: latency, frames, servo loop, commands.
        endings: how episodes ended in the graph's own words, and how many.
        failure: why nothing more came, empty where all scenes were run or the user ended it.
        interrupted: whether the user ended it.
    """

    playback: dict[str, Any]
    episodes: list[Episode] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    failure: str = ""
    interrupted: bool = False


class EpisodeLogger(RunLogger):
    """Notes a run: the log, and a strip of each failure, of as many as pages will show."""

    def __init__(self, strip: bool) -> None:
        super().__init__(TWIN_CAMERAS if strip else ())
        self._strips: dict[int, StripRecorder] = {}
        self._running: int | None = None
        self._latest: dict[str, np.ndarray] = {}

    def strip(self, episode: int) -> tuple[np.ndarray, ...]:
        """Return the images of an episode that failed; none where none were kept."""
        return self._strips[episode].strip() if episode in self._strips else ()

    def on_series(self, record: SeriesRecord) -> None:
        """Take a report of the series of episodes."""
        super().on_series(record)
        self._running = record.episode if record.state == "running" else None
        for episode, outcome in enumerate(record.outcomes):
            if outcome == SUCCESS:
                self._strips.pop(episode, None)

    def on_frame(self, camera: str, time: float, image: np.ndarray) -> None:
        """Take a camera's frame."""
        self._latest[camera] = image
        if self._running is None or len(self._latest) < len(TWIN_CAMERAS):
            return
        if self._running in self._strips or len(self._strips) < PAGES * STRIPS_A_PAGE:
            strip = self._strips.setdefault(self._running, StripRecorder())
            strip.add(time, [self._latest[name] for name in TWIN_CAMERAS])


def require_fit(candidate: EvaluatedPolicy, _trials: Trials) -> dict[str, Any]:
    """Return what a result says of the policy; before the graph comes up, refuse one that it cannot run.

    Raises:
        ValueError: one sentence.
    """
    policy = candidate.load()
    image_size_of(policy.spec)
    return candidate.describe(policy)


def evaluate_graph(
    candidate: EvaluatedPolicy, trials: Trials, *, folder: Path, real_time_factor: float, params_file: str = ""
) -> Evaluation:
    """Run all scenes through the graph; what was run until it was broken off is the result too.

    Args:
        candidate: a checkpoint.
        trials: the scenes, which must follow one another, and the time; the graph plays chunks as it is deployed.
        folder: where the graph's own log goes, in a folder of the policy's name.
        real_time_factor: speed of the twin's clock; 0 is chosen for this machine.
        params_file: a ROS parameter file for the nodes.

    Raises:
        ValueError: if the policy or an option does not fit; one sentence.
    """
    policy = candidate.load()
    options = DeployOptions(
        sim=True,
        policy_path=candidate.path,
        device=candidate.device,
        task=TASK,
        episodes=len(trials.seeds),
        episode_time=trials.time_limit,
        scene=trials.scenes,
        seed=trials.seeds[0],
        real_time_factor=real_time_factor,
        params_file=params_file,
    )
    start = time.monotonic()
    series = run_through_graph(options, policy.spec, folder / f"{candidate.name}_graph", strip=trials.strip)
    return Evaluation(
        name=candidate.name,
        policy=candidate.describe(policy),
        scenes=trials.scenes,
        runner=GRAPH,
        playback=series.playback,
        time_limit=trials.time_limit,
        requested=len(trials.seeds),
        episodes=tuple(series.episodes),
        command=trials.command,
        seconds=time.monotonic() - start,
        graph={"runs": series.figures, "endings": dict(series.endings), "failure": series.failure},
    )


def run_through_graph(options: DeployOptions, spec: PolicySpec, folder: Path, *, strip: bool = False) -> GraphEpisodes:
    """Run ``options.episodes`` scenes from ``options.seed`` on, as ``prana deploy --sim`` runs them.

    A graph that goes down after a stop, or because a process died, is started again with the next scene.

    Args:
        options: of the deployment on the twin; a real-time factor of 0 is chosen for this machine.
        spec: of the checkpoint at ``options.policy_path``; others than PRANA's do not tell the graph all of it.
        folder: takes ``run.log`` and the nodes' parameters.
        strip: keep images of the failures.

    Raises:
        GraphError: if no graph can be built from the options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    terminal = Terminal(folder / "run.log")
    try:
        options = with_real_time_factor(options, terminal.say)
        mode = parameters_of(graph_of(options), "policy")["mode"]
        series = GraphEpisodes({"mode": mode, "real_time_factor": options.real_time_factor})
        while len(series.episodes) < options.episodes and not (series.failure or series.interrupted):
            _run_once(_remaining(options, len(series.episodes)), spec, folder, terminal, strip, series)
    finally:
        terminal.close()
    return series


def _remaining(options: DeployOptions, done: int) -> DeployOptions:
    return dataclasses.replace(options, episodes=options.episodes - done, seed=options.seed + done)


def _run_once(
    options: DeployOptions, spec: PolicySpec, folder: Path, terminal: Terminal, strip: bool, series: GraphEpisodes
) -> None:
    """Run the graph until it goes down; add what came of it."""
    recorder = EpisodeLogger(strip)
    result = run_graph(fitting_graph(options, spec), folder, terminal, recorder.observe)
    series.interrupted = result.interrupted
    ended = [episode for episode in recorder.log.episodes() if not (result.interrupted and episode.outcome in _BY_USER)]
    series.figures.append(recorder.log.metrics())
    for episode in ended:
        seed, images = options.seed + episode.index, recorder.strip(episode.index)
        series.episodes.append(episode_record(recorder.log, episode, seed, images))
        series.endings[episode.outcome] += 1
    if not ended and not result.interrupted:
        series.failure = result.failure or " ".join(result.outcomes) or "the graph ended without an episode"


def fitting_graph(options: DeployOptions, spec: PolicySpec) -> Graph:
    """Return the graph, told what the checkpoint does not say itself, the twin's images of the size that it takes."""
    assert spec.joint_names is not None
    assert spec.units is not None
    told: dict[str, dict[str, Any]] = {
        "policy": {"joint_names": list(spec.joint_names), "units": spec.units.name.lower(), "fps": float(spec.fps or 0)}
    }
    width, height = image_size_of(spec)
    told["twin"] = {"camera_width": width, "camera_height": height}
    graph = graph_of(options)
    nodes = (
        dataclasses.replace(node, parameters={**node.parameters, **told.get(node.name, {})}) for node in graph.nodes
    )
    return dataclasses.replace(graph, nodes=tuple(nodes))


def image_size_of(spec: PolicySpec) -> tuple[int, int]:
    """Width and height at which the twin's cameras show what the policy was trained on.

    Raises:
        ValueError: if they cannot.
    """
    size = PolicyView(spec).camera_size
    if any(size != (width, height) for _, height, width in spec.cameras.values()):
        _, height, width = next(iter(spec.cameras.values()))
        raise ValueError(
            f"the policy was trained on images stretched to {width}x{height}, which a camera node does not publish; "
            "evaluate it in lock-step"
        )
    return size


def episode_record(
    run: log.RunLog, episode: log.LoggedEpisode, seed: int, strip: tuple[np.ndarray, ...] = ()
) -> Episode:
    """Return one episode of a run as evaluation knows it; whatever broke it off is a ``stop``."""
    chunks = [c for c in run.chunks if c.published and episode.start <= c.seam_time <= episode.end]
    seams = [c for c in chunks if c.seam_position_step and np.isfinite(c.seam_position_step).all()]
    first = bisect_left(run.measured, episode.start, key=lambda record: record.time)
    measured = run.measured[first : bisect_right(run.measured, episode.end, key=lambda record: record.time)]
    motion = [record.time for record in measured], [record.position for record in measured]
    outcome = episode.outcome if episode.outcome in OUTCOMES else BROKEN_OFF
    return Episode(
        seed=seed,
        outcome=outcome,
        duration=episode.duration,
        chunks=len(chunks),
        path_length=path_length(*motion) if measured else math.nan,
        jerk=jerk(*motion) if measured else math.nan,
        seam_steps=tuple(max(map(abs, c.seam_position_step)) for c in seams),
        seam_velocity_steps=tuple(max(map(abs, c.seam_velocity_step)) for c in seams),
        strip=strip,
    )
