"""``prana twin``: a simulated SO-101, or two, behind serial ports that any SO-101 program can open. No ROS."""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from lerobot.utils.constants import HF_LEROBOT_CALIBRATION, TELEOPERATORS

from prana_ros.cameras import shared_frames
from prana_ros.cameras.shared_frames import SharedFrameWriter
from prana_ros.simulation.scene import DISTRIBUTIONS, sample_scene, scene_distribution
from prana_ros.simulation.twin import Twin, prefer_this_process
from prana_ros.simulation.twin_cameras import TwinCameras
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.calibration import (
    CalibrationError,
    calibration_path,
    fingerprint,
    read_calibration,
    twin_calibration,
    write_calibration,
)

REPORT_PERIOD = 5.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "twin", help="simulate an SO-101 behind a serial port", description=__doc__.partition(":")[2].strip()
    )
    parser.add_argument(
        "--link", type=Path, required=True, metavar="PATH", help="where to put the symbolic link to the port"
    )
    parser.add_argument(
        "--arms", type=int, choices=(1, 2), default=1, help="2: a leader arm too, its link is PATH_leader"
    )
    parser.add_argument("--scene", choices=tuple(DISTRIBUTIONS), default="standard", help="kind of scene")
    parser.add_argument("--seed", type=_at_least_0("the seed"), default=0, help="seed of the scene (default 0)")
    parser.add_argument(
        "--robot-id", metavar="ID", help="write LeRobot's calibration file of this id, so that LeRobot need not ask"
    )
    parser.add_argument(
        "--camera-fps",
        type=_at_least_0("the camera rate"),
        default=0,
        metavar="N",
        help="show the cameras too, N pictures a second, for LeRobot's camera prana_file: their files are "
        f"PATH_{CAMERAS[0]}{shared_frames.SUFFIX} and so on (default 0: no cameras)",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the twin until Ctrl-C or SIGTERM."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    links = [arguments.link, arguments.link.with_name(f"{arguments.link.name}_leader")][: arguments.arms]
    if arguments.robot_id:
        _write_calibrations(arguments.robot_id, arguments.arms)
    prefer_this_process()
    world = World(sample_scene(scene_distribution(arguments.scene), arguments.seed), arms=arguments.arms)
    with Twin(world, links) as twin:
        for name, link, bus in zip(("arm", "leader arm"), links, twin.buses, strict=False):
            print(f"{name}: {link} ({bus.port})", flush=True)
        with _cameras(twin, links[0], arguments.camera_fps) as cameras:
            print("Ctrl-C ends the twin.", flush=True)
            return _watch(twin, cameras, stopping)


@contextlib.contextmanager
def _cameras(twin: Twin, link: Path, fps: int) -> Iterator[TwinCameras | None]:
    """Write what the cameras see into files beside the link, on the monotonic clock; None where ``fps`` is 0."""
    if not fps:
        yield None
        return
    with contextlib.ExitStack() as stack:
        writers = {}
        for camera in CAMERAS:
            path = link.with_name(f"{link.name}_{camera}{shared_frames.SUFFIX}")
            writers[camera] = stack.enter_context(contextlib.closing(SharedFrameWriter(path, *twin.world.camera_size)))
            print(f"camera {camera}: {path}", flush=True)
        cameras = TwinCameras(twin, fps, lambda _, due_ns: due_ns, lambda c, image, ns: writers[c].write(image, ns))
        cameras.start()
        stack.callback(cameras.stop)
        yield cameras


def _watch(twin: Twin, cameras: TwinCameras | None, stopping: threading.Event) -> int:
    """Say when the machine is too slow, until it is time to stop; the exit code."""
    reported = 0.0
    while not stopping.wait(REPORT_PERIOD):
        if twin.failure is not None:
            print(f"prana: the simulation has stopped: {twin.failure!r}", file=sys.stderr)
            return 1
        if cameras is not None and cameras.failure is not None:
            print(f"prana: the cameras have stopped: {cameras.failure!r}", file=sys.stderr)
            return 1
        if twin.lost_seconds > reported:
            reported = twin.lost_seconds
            print(f"This machine is too slow for real time: {reported:.2f} s lost so far.", file=sys.stderr, flush=True)
    return 0


def _write_calibrations(robot_id: str, arms: int) -> None:
    """Write the calibration of follower and leader where LeRobot looks for it; leave another arm's file alone."""
    folders = [None, HF_LEROBOT_CALIBRATION / TELEOPERATORS / "so_leader"][:arms]
    for folder in folders:
        path = calibration_path(robot_id, folder)
        if not path.exists():
            write_calibration(twin_calibration(), path)
        elif fingerprint(read_calibration(path)) != fingerprint(twin_calibration()):
            raise CalibrationError(f"{path} is the calibration of another arm; choose another id than {robot_id!r}.")
        print(f"calibration: {path}", flush=True)


def _at_least_0(thing: str) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < 0:
            raise argparse.ArgumentTypeError(f"{thing} is {text}; it must be 0 or more")
        return int(text)

    return number
