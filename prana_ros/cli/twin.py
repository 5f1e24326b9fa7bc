"""``prana twin``: a simulated SO-101, or two, behind serial ports that any SO-101 program can open. No ROS."""

import argparse
import contextlib
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from lerobot.utils.constants import HF_LEROBOT_CALIBRATION, TELEOPERATORS

from prana_ros.cameras import shared_frames
from prana_ros.cameras.shared_frames import SharedFrameWriter
from prana_ros.simulation.control_pipe import SUFFIX, ControlPipe
from prana_ros.simulation.hand import Hand, HandError, HandPath, hand_path
from prana_ros.simulation.scene import DISTRIBUTIONS, sample_scene, scene_distribution
from prana_ros.simulation.servo_bus import ServoBus
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
from prana_ros.so101.units import Calibration

REPORT_PERIOD = 5.0
HOMING_OFFSETS = (900, -700, 1500, -1900, 350, 60)
"""Counts by which the servos of ``--offsets`` are askew."""
_MOTORS = range(1, 7)


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
        help="show the cameras too, N images a second, for LeRobot's camera prana_file: their files are "
        f"PATH_{CAMERAS[0]}{shared_frames.SUFFIX} and so on (default 0: no cameras)",
    )
    parser.add_argument(
        "--hand",
        type=_path_of_hand,
        metavar="middle|sweep|FILE",
        help="move the joints that have no torque: to the middle of their ranges, through the ranges over and over, "
        "or along a file; another process changes it by a line in PATH_control, such as: hand sweep",
    )
    servos = parser.add_mutually_exclusive_group()
    servos.add_argument(
        "--offsets", action="store_true", help="servos that were mounted askew: their homing offsets are not 0"
    )
    servos.add_argument(
        "--plugged",
        type=int,
        choices=_MOTORS,
        nargs="+",
        metavar="ID",
        help="new servos, all with the factory's id 1, of which only these are connected, 1 at the base to 6 at the "
        "gripper; another process changes it by a line in PATH_control, such as: plugged 5",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the twin until Ctrl-C or SIGTERM."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    if arguments.plugged and arguments.robot_id:
        raise CalibrationError("With --plugged the servos are new and have no calibration: leave out --robot-id.")
    calibration = twin_calibration(HOMING_OFFSETS) if arguments.offsets else twin_calibration()
    links = [arguments.link, arguments.link.with_name(f"{arguments.link.name}_leader")][: arguments.arms]
    if arguments.robot_id:
        _write_calibrations(arguments.robot_id, arguments.arms, calibration)
    prefer_this_process()
    world = World(sample_scene(scene_distribution(arguments.scene), arguments.seed), arms=arguments.arms)
    with Twin(world, links) as twin, contextlib.ExitStack() as pipes:
        for name, link, bus in zip(("arm", "leader arm"), links, twin.buses, strict=False):
            if arguments.plugged:
                bus.put_in_new_servos()
                bus.connect_servos(arguments.plugged)
            elif arguments.offsets:
                bus.assemble(calibration)
            bus.hand = arguments.hand and Hand(arguments.hand)
            pipe = ControlPipe(link.with_name(link.name + SUFFIX), functools.partial(_obey, name, bus))
            pipes.callback(pipe.close)
            print(f"{name}: {link} ({bus.port}), control: {link}{SUFFIX}", flush=True)
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


def _obey(name: str, bus: ServoBus, line: str) -> None:
    """Do what a line from an arm's control says, and say so, or what is wrong with it."""
    match line.split():
        case ["hand", "off"]:
            bus.hand = None
        case ["hand", path]:
            try:
                bus.hand = Hand(hand_path(path))
            except HandError as error:
                print(f"prana: {error}", file=sys.stderr, flush=True)
                return
        case ["plugged", *numbers] if set(numbers) <= set(map(str, _MOTORS)):
            bus.connect_servos([int(number) for number in numbers])
        case _:
            print(
                f"prana: the {name}'s control got {line!r}; allowed are 'hand middle', 'hand sweep', 'hand FILE', "
                "'hand off', and 'plugged' with motors from 1 to 6.",
                file=sys.stderr,
                flush=True,
            )
            return
    print(f"{name}: {line}", flush=True)


def _path_of_hand(text: str) -> HandPath:
    try:
        return hand_path(text)
    except HandError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _write_calibrations(robot_id: str, arms: int, calibration: Calibration) -> None:
    """Write the calibration of follower and leader where LeRobot looks for it; leave another arm's file alone."""
    folders = [None, HF_LEROBOT_CALIBRATION / TELEOPERATORS / "so_leader"][:arms]
    for folder in folders:
        path = calibration_path(robot_id, folder)
        if not path.exists():
            write_calibration(calibration, path)
        elif fingerprint(read_calibration(path)) != fingerprint(calibration):
            raise CalibrationError(f"{path} is the calibration of another arm; choose another id than {robot_id!r}.")
        print(f"calibration: {path}", flush=True)


def _at_least_0(thing: str) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < 0:
            raise argparse.ArgumentTypeError(f"{thing} is {text}; it must be 0 or more")
        return int(text)

    return number
