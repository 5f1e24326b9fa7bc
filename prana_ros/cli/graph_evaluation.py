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

from prana_ros.cli.preparation import graph_of, with_real_time_factor
from prana_ros.cli.recorder import Recorder
from prana_ros.cli.session import run_graph
from prana_ros.cli.speed import packaged_parameters
from prana_ros.cli.terminal import Terminal
from prana_ros.evaluation.candidates import Candidate
from prana_ros.evaluation.episode import OUTCOMES, SUCCESS, Episode
from prana_ros.evaluation.eyes import Eyes
from prana_ros.evaluation.film import PAGES, STRIPS_A_PAGE, FilmRecorder
from prana_ros.evaluation.motion import jerk, path_length
from prana_ros.evaluation.result import GRAPH, Evaluation
from prana_ros.evaluation.run import Trials
from prana_ros.graph import TWIN_CAMERAS, DeployOptions, Graph
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


class EpisodeRecorder(Recorder):
    """Notes a run: the log, and a film of each failure, of as many as pages will show."""

    def __init__(self, film: bool) -> None:
        super().__init__(TWIN_CAMERAS if film else ())
        self._films: dict[int, FilmRecorder] = {}
        self._running: int | None = None
        self._latest: dict[str, np.ndarray] = {}

    def film(self, episode: int) -> tuple[np.ndarray, ...]:
        """Return the pictures of an episode that failed; none where none were kept."""
        return self._films[episode].film() if episode in self._films else ()

    def on_series(self, record: SeriesRecord) -> None:
        """Take a report of the series of episodes."""
        super().on_series(record)
        self._running = record.episode if record.state == "running" else None
        for episode, outcome in enumerate(record.outcomes):
            if outcome == SUCCESS:
                self._films.pop(episode, None)

    def on_frame(self, camera: str, time: float, image: np.ndarray) -> None:
        """Take a camera's frame."""
        self._latest[camera] = image
        if self._running is None or len(self._latest) < len(TWIN_CAMERAS):
            return
        if self._running in self._films or len(self._films) < PAGES * STRIPS_A_PAGE:
            film = self._films.setdefault(self._running, FilmRecorder())
            film.add(time, [self._latest[name] for name in TWIN_CAMERAS])


def require_fit(candidate: Candidate, _trials: Trials) -> dict[str, Any]:
    """Return what a result says of the policy; before the graph comes up, refuse one that it cannot run.

    Raises:
        ValueError: one sentence.
    """
    policy = candidate.load()
    picture_size(policy.spec)
    return candidate.describe(policy)


def evaluate_graph(candidate: Candidate, trials: Trials, *, folder: Path, real_time_factor: float) -> Evaluation:
    """Run all scenes through the graph; what was run until it was broken off is the result too.

    Args:
        candidate: a checkpoint.
        trials: the scenes, which must follow one another, and the time; the graph plays chunks as it is deployed.
        folder: where the graph's own log goes, in a folder of the policy's name.
        real_time_factor: speed of the twin's clock; 0 is chosen for this machine.

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
    )
    start = time.monotonic()
    series = run_through_graph(options, policy.spec, folder / f"{candidate.name}_graph", film=trials.film)
    return Evaluation(
        name=candidate.name,
        policy=candidate.describe(policy),
        scenes=trials.scenes,
        through=GRAPH,
        playback=series.playback,
        time_limit=trials.time_limit,
        requested=len(trials.seeds),
        episodes=tuple(series.episodes),
        command=trials.command,
        seconds=time.monotonic() - start,
        graph={"runs": series.figures, "endings": dict(series.endings), "failure": series.failure},
    )


def run_through_graph(options: DeployOptions, spec: PolicySpec, folder: Path, *, film: bool = False) -> GraphEpisodes:
    """Run ``options.episodes`` scenes from ``options.seed`` on, as ``prana deploy --sim`` runs them.

    A graph that goes down after a stop, or because a process died, is started again with the next scene.

    Args:
        options: of the deployment on the twin; a real-time factor of 0 is chosen for this machine.
        spec: of the checkpoint at ``options.policy_path``; others than PRANA's do not tell the graph all of it.
        folder: takes ``run.log`` and the nodes' parameters.
        film: keep pictures of the failures.

    Raises:
        GraphError: if no graph can be built from the options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    terminal = Terminal(folder / "run.log")
    try:
        options = with_real_time_factor(options, terminal.say)
        mode = packaged_parameters("policy.yaml")["mode"]
        series = GraphEpisodes({"mode": mode, "real_time_factor": options.real_time_factor})
        while len(series.episodes) < options.episodes and not (series.failure or series.interrupted):
            _run_once(_remaining(options, len(series.episodes)), spec, folder, terminal, film, series)
    finally:
        terminal.close()
    return series


def _remaining(options: DeployOptions, done: int) -> DeployOptions:
    return dataclasses.replace(options, episodes=options.episodes - done, seed=options.seed + done)


def _run_once(
    options: DeployOptions, spec: PolicySpec, folder: Path, terminal: Terminal, film: bool, series: GraphEpisodes
) -> None:
    """Run the graph until it goes down; add what came of it."""
    recorder = EpisodeRecorder(film)
    result = run_graph(fitting_graph(options, spec), folder, terminal, recorder.observe)
    series.interrupted = result.interrupted
    ended = [episode for episode in recorder.log.episodes() if not (result.interrupted and episode.outcome in _BY_USER)]
    series.figures.append(recorder.log.figures())
    for episode in ended:
        seed, pictures = options.seed + episode.index, recorder.film(episode.index)
        series.episodes.append(episode_record(recorder.log, episode, seed, pictures))
        series.endings[episode.outcome] += 1
    if not ended and not result.interrupted:
        series.failure = result.failure or " ".join(result.outcomes) or "the graph ended without an episode"


def fitting_graph(options: DeployOptions, spec: PolicySpec) -> Graph:
    """Return the graph, told what the checkpoint does not say itself, the twin's pictures of the size that it takes."""
    assert spec.joint_names is not None
    assert spec.units is not None
    told: dict[str, dict[str, Any]] = {
        "policy": {"joint_names": list(spec.joint_names), "units": spec.units.name.lower(), "fps": float(spec.fps or 0)}
    }
    width, height = picture_size(spec)
    told["twin"] = {"camera_width": width, "camera_height": height}
    graph = graph_of(options)
    nodes = (
        dataclasses.replace(node, parameters={**node.parameters, **told.get(node.name, {})}) for node in graph.nodes
    )
    return dataclasses.replace(graph, nodes=tuple(nodes))


def picture_size(spec: PolicySpec) -> tuple[int, int]:
    """Width and height at which the twin's cameras show what the policy was trained on.

    Raises:
        ValueError: if they cannot.
    """
    size = Eyes(spec).camera_size
    if any(size != (width, height) for _, height, width in spec.cameras.values()):
        _, height, width = next(iter(spec.cameras.values()))
        raise ValueError(
            f"the policy was trained on pictures stretched to {width}x{height}, which a camera node does not publish; "
            "evaluate it in lock-step"
        )
    return size


def episode_record(run: log.RunLog, episode: log.Episode, seed: int, film: tuple[np.ndarray, ...] = ()) -> Episode:
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
        film=film,
    )
