"""One run of the graph: up, watched, down again."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from prana_ros.bringup.supervisor import GraphFailed, StopRequested, Supervisor
from prana_ros.bringup.terminal import Terminal
from prana_ros.episodes.series import broken_off
from prana_ros.graphs.spec import Graph
from prana_ros.nodes import dds
from prana_ros.nodes.observer import observe_reports
from prana_ros.nodes.run_node import make_executor
from prana_ros.nodes.signals import STOP_SIGNALS, on_stop_signal
from prana_ros.report.records import ArmRecord, SeriesRecord
from prana_ros.report.status import Status

STATUS_PERIOD = 0.2

Observe = Callable[[Node], None]


@dataclass(frozen=True)
class SessionResult:
    """How a run ended: ``failure`` is a sentence, empty if the graph stayed up until it was done or told to stop."""

    failure: str
    interrupted: bool
    outcomes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 if the series ran to its end, 130 after Ctrl-C, 1 if something broke off."""
        if self.interrupted:
            return 130
        return 1 if self.failure or broken_off(self.outcomes) else 0


class _Watcher(Status):
    """The status, which also tells the user once of what is not to be overlooked."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal
        self._outcomes = 0

    def on_series(self, record: SeriesRecord) -> None:
        for number in range(self._outcomes, len(record.outcomes)):
            self._terminal.say(f"episode {number + 1} of {record.episodes}: {record.outcomes[number]}")
        self._outcomes = max(self._outcomes, len(record.outcomes))
        super().on_series(record)

    def on_arm(self, record: ArmRecord) -> None:
        if record.stop_message and (self.arm is None or self.arm.stop_message != record.stop_message):
            self._terminal.say(f"the arm was stopped: {record.stop_message}")
        super().on_arm(record)


def run_graph(graph: Graph, folder: Path, terminal: Terminal, observe: Observe = lambda node: None) -> SessionResult:
    """Run the graph until its work is done, a process dies or the user stops it; take it down in order.

    ``folder`` takes the parameter files. ``observe`` may subscribe to more than the status line needs.
    """
    dds.use_packaged_profile()
    watcher = _Watcher(terminal)
    with _stop_signals() as signals, spinning_node("prana_deploy", graph.namespace) as node:
        observe_reports(node, watcher)
        observe(node)
        supervisor = Supervisor(graph, node, folder, terminal.node_line, lambda: bool(signals))
        failure, interrupted = "", False
        try:
            supervisor.bring_up(terminal.status)
            terminal.say("the graph is up; Ctrl-C brings the arm to rest and ends it")
            if not any(spec.ends_graph for spec in graph.nodes):
                terminal.say("no series is run: the action policy/run_policy and joint_trajectory are yours")
            while not supervisor.check():
                terminal.status(watcher.line())
                supervisor.pause(STATUS_PERIOD)
        except GraphFailed as error:
            failure = str(error)
            terminal.say(failure)
        except StopRequested:
            interrupted = True
            terminal.say(f"stopping on {signal.Signals(signals[0]).name}: the driver brings the arm to rest")
        finally:
            complaints = supervisor.take_down(terminal.status)
        for complaint in complaints:
            terminal.say(complaint)
        outcomes = watcher.series.outcomes if watcher.series else ()
        return SessionResult(failure or " ".join(complaints), interrupted, outcomes)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Note stop signals; further ones change nothing, as the arm is on its way to rest.

    A handler runs between any two instructions of the main thread, so it does no more than append to a list.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    on_stop_signal(note)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def spinning_node(name: str, namespace: str) -> Iterator[Node]:
    """Give a node with a context of its own that a thread spins."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node(name, namespace=namespace, context=context, use_global_arguments=False)
    executor = make_executor(context)
    executor.add_node(node)
    ended = threading.Event()

    def spin() -> None:
        try:
            while not ended.is_set():
                executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            pass

    thread = threading.Thread(target=spin, name="executor", daemon=True)
    thread.start()
    try:
        yield node
    finally:
        ended.set()
        thread.join()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
