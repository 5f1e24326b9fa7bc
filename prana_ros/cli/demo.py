"""``prana demo``: the packaged policy on the twin, and a report of what it did."""

import argparse
import time
from pathlib import Path

import numpy as np

from prana_ros.bringup.options import AUTO, HELP, factor
from prana_ros.bringup.preparation import checked, graph_of, with_real_time_factor
from prana_ros.bringup.run_logger import RunLogger
from prana_ros.bringup.session import run_graph
from prana_ros.bringup.terminal import Terminal
from prana_ros.cli.deploy import output_folder
from prana_ros.graphs.deploy import TWIN_CAMERAS, DeployOptions
from prana_ros.machine import machine
from prana_ros.report.log import RunLog
from prana_ros.report.plot import plot_joints
from prana_ros.report.records import JointRecord, SeriesRecord
from prana_ros.report.summary import summarize_run
from prana_ros.report.video import SideBySideVideo

MOVING = 0.02
"""rad; a joint that was commanded this far from where it began means that the arm moves."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="watch the packaged policy put a screwdriver in a box, on the twin",
        description="Run episodes of the packaged policy on the twin through the whole graph; write a video, a plot "
        "of the joints and the log.",
    )
    parser.add_argument("--episodes", type=int, default=3, help="number of episodes (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first scene (default: 0)")
    parser.add_argument("--scene", default="standard", help="scenes of the twin (default: standard)")
    parser.add_argument("--policy-path", default="", help="another checkpoint (default: the packaged one)")
    parser.add_argument("--device", default="auto", help="device of the policy (default: a GPU where there is one)")
    parser.add_argument(
        "--real-time-factor", type=factor, default=AUTO, help="speed of the twin's clock (default: auto)"
    )
    parser.add_argument("--params-file", default="", metavar="YAML", help=HELP["params_file"])
    parser.add_argument("--output", type=Path, help="folder of the report (default: outputs/demo-<date>)")
    parser.set_defaults(func=demo)


class DemoLogger(RunLogger):
    """Notes a run: the log, and the video as it happens."""

    def __init__(self, video: SideBySideVideo) -> None:
        super().__init__(TWIN_CAMERAS)
        self.first_motion: float | None = None
        self._video = video
        self._origin: tuple[float, ...] | None = None
        self._caption = ""

    def on_series(self, record: SeriesRecord) -> None:
        """Take a report of the series of episodes."""
        super().on_series(record)
        self._caption = f"episode {record.episode + 1} of {record.episodes}: {record.state} {record.elapsed:.1f} s"

    def on_commanded(self, record: JointRecord) -> None:
        """Take a command to the joints."""
        super().on_commanded(record)
        self._origin = self._origin or record.position
        if self.first_motion is None and np.abs(np.subtract(record.position, self._origin)).max() > MOVING:
            self.first_motion = time.monotonic()

    def on_frame(self, camera: str, time: float, image: np.ndarray) -> None:
        """Take a camera's frame."""
        self._video.add(camera, time, image, self._caption)


def demo(arguments: argparse.Namespace) -> int:
    """Run the subcommand; return its exit code: 0 if every episode ran to an end, whatever its outcome."""
    start = time.monotonic()
    options = DeployOptions(
        sim=True,
        policy_path=arguments.policy_path or "checkpoints/twin_v2",
        device=arguments.device,
        episodes=arguments.episodes,
        scene=arguments.scene,
        seed=arguments.seed,
        real_time_factor=arguments.real_time_factor,
        params_file=arguments.params_file,
    )
    options = checked(options)
    folder = arguments.output or output_folder("demo")
    folder.mkdir(parents=True, exist_ok=True)
    terminal = Terminal(folder / "run.log")
    video = SideBySideVideo(folder / "video.mp4", TWIN_CAMERAS)
    recorder = DemoLogger(video)
    try:
        options = with_real_time_factor(options, terminal.say)
        result = run_graph(graph_of(options), folder, terminal, recorder.observe)
        video.close()
        wait = recorder.first_motion - start if recorder.first_motion else None
        _report(recorder.log, folder, options, terminal, wait, result.failure)
    finally:
        video.close()
        terminal.close()
    return result.exit_code


def _report(
    log: RunLog, folder: Path, options: DeployOptions, terminal: Terminal, wait: float | None, failure: str
) -> None:
    """Print the summary and write the log and the plot."""
    terminal.say("")
    terminal.say(summarize_run(log, options.real_time_factor))
    terminal.say(f"{'start':<11}the arm moved after {wait:.1f} s" if wait else f"{'start':<11}the arm never moved")
    log.write(
        folder / "log.json",
        machine=machine(),
        date=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        policy=options.policy_path,
        scene=options.scene,
        seed=options.seed,
        real_time_factor=options.real_time_factor,
        seconds_to_motion=wait,
        failure=failure,
    )
    if log.episodes():
        plot_joints(log, folder / "joints.png")
    terminal.say(f"{'written':<11}{', '.join(sorted(str(path) for path in folder.iterdir() if path.is_file()))}")
