"""Brings a graph up as processes, watches over it, and takes it down in order."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_prefix
from rclpy.node import Node

from prana_ros import resources
from prana_ros.bringup.processes import (
    OUTPUT_GRACE,
    NodeProcess,
    OnLine,
    describe_exit,
    ending_with_parent,
    python_module,
)
from prana_ros.episodes.series import EXIT_BROKEN_OFF
from prana_ros.graphs.spec import PACKAGE, Graph, NodeSpec, PackagedPath
from prana_ros.nodes.lifecycle_client import make_transition

POLL = 0.05
DISCOVERY_TIME = 1.0
"""Seconds in which the nodes of another graph would have been discovered."""
PROGRESS = {"configure": "configuring", "activate": "activating"}


class GraphFailed(RuntimeError):
    """The graph could not come up or did not stay up; the message is one sentence for the user."""


class StopRequested(Exception):
    """The user asked to stop while the graph was coming up."""


class Supervisor:
    """The processes of one graph."""

    def __init__(
        self, graph: Graph, node: Node, folder: Path, on_line: OnLine, stop_requested: Callable[[], bool]
    ) -> None:
        """Start nothing yet.

        Args:
            graph: what to run.
            node: finds and calls the graph's nodes; must be spinning in another thread.
            folder: takes the parameter files.
            on_line: hears every line that a process says.
            stop_requested: whether the user wants to stop.
        """
        self._graph = graph
        self._node = node
        self._folder = folder
        self._on_line = on_line
        self._stop_requested = stop_requested
        self._processes: dict[str, NodeProcess] = {}

    @property
    def process_ids(self) -> dict[str, int]:
        """The process id of every node that was started."""
        return {name: process.pid for name, process in self._processes.items()}

    def bring_up(self, on_step: Callable[[str], None]) -> None:
        """Start every node, then make the graph's transitions one after the other; ``on_step`` hears what comes next.

        Raises:
            GraphFailed: a node refused, or its process died.
            StopRequested: the user wants to stop.
        """
        self._refuse_second_graph()
        commands = {spec.name: self._command(spec) for spec in self._graph.nodes}
        on_step("starting " + ", ".join(commands))
        for name, command in commands.items():
            self._processes[name] = NodeProcess(name, command, self._on_line)
        for spec, verb in self._graph.transitions:
            on_step(f"{PROGRESS[verb]} {spec.name}")
            self._change_state(spec, verb)

    def check(self) -> bool:
        """Return whether the work is done: the node that ends the graph has ended.

        Raises:
            GraphFailed: a process died; the sentence names it and says of what.
        """
        done = False
        for spec in self._graph.nodes:
            process = self._processes.get(spec.name)
            code = process.exit_code if process else None
            if code is None:
                continue
            if not (spec.ends_graph and code in (0, EXIT_BROKEN_OFF)):
                raise GraphFailed(self._exit_report(spec.name))
            done = True
        return done

    def take_down(self, on_step: Callable[[str], None]) -> list[str]:
        """Stop every process, last started first; return a sentence for each that did not stop in order."""
        complaints = []
        for spec in self._graph.stop_order:
            process = self._processes.get(spec.name)
            if process is None or process.exit_code is not None:
                continue
            on_step(f"stopping {spec.name}")
            ending = process.stop(spec.stop_time)
            if ending:
                complaints.append(f"{spec.name} {ending}.")
        return complaints

    def _command(self, spec: NodeSpec) -> list[str]:
        command = _executable(spec) + [str(resolved(argument)) for argument in spec.arguments]
        command += ["--ros-args", "-r", f"__node:={spec.name}", "-r", f"__ns:={self._graph.namespace or '/'}"]
        if spec.parameter_file is not None:
            command += ["--params-file", str(resolved(spec.parameter_file))]
        if spec.parameters:
            path = self._folder / "parameters" / f"{spec.name}.yaml"
            write_parameters(path, spec.parameters)
            command += ["--params-file", str(path)]
        return command

    def _refuse_second_graph(self) -> None:
        """Two drivers or two policies of one name would both answer."""
        ours = {self._graph.full_name(spec) for spec in self._graph.nodes}
        end = time.monotonic() + DISCOVERY_TIME
        while time.monotonic() < end:
            running = {
                f"{namespace.rstrip('/')}/{name}" for name, namespace in self._node.get_node_names_and_namespaces()
            }
            if ours & running:
                raise GraphFailed(
                    f"{', '.join(sorted(ours & running))} already runs in this ROS domain: stop it first, or choose "
                    "another namespace or ROS_DOMAIN_ID."
                )
            self.pause()

    def _change_state(self, spec: NodeSpec, verb: str) -> None:
        try:
            made = make_transition(self._node, self._graph.full_name(spec), verb, self._wait)
        except TimeoutError as error:
            raise GraphFailed(str(error)) from None
        if not made:
            time.sleep(OUTPUT_GRACE)
            said = self._processes[spec.name].last_error or f"cannot {verb}, and does not say why."
            raise GraphFailed(f"{spec.name}: {said}")

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if self.check():
                raise GraphFailed(self._exit_report(next(s.name for s in self._graph.nodes if s.ends_graph)))
            if time.monotonic() > end:
                return False
            self.pause()
        return True

    def pause(self, seconds: float = POLL) -> None:
        """Wait, unless the user wants to stop.

        Raises:
            StopRequested: the user wants to stop.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._stop_requested():
                raise StopRequested
            time.sleep(POLL)

    def _exit_report(self, name: str) -> str:
        process = self._processes[name]
        process.wait(OUTPUT_GRACE)
        sentence = f"{name} (process {process.pid}) {describe_exit(process.exit_code)}"
        return f"{sentence}; its last error: {process.last_error}" if process.last_error else f"{sentence}."


def resolved(value: Any) -> Any:
    """Return ``value``, a packaged path as the absolute path of the file on this machine."""
    return str(resources.packaged(*value.path.split("/"))) if isinstance(value, PackagedPath) else value


def write_parameters(path: Path, parameters: Mapping[str, Any]) -> None:
    """Write a ROS parameter file that holds for whichever node reads it."""
    content = {"/**": {"ros__parameters": {name: resolved(value) for name, value in parameters.items()}}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def _executable(spec: NodeSpec) -> list[str]:
    if spec.package == PACKAGE:
        return [*python_module(f"{PACKAGE}.nodes.start"), spec.executable]
    path = Path(get_package_prefix(spec.package)) / "lib" / spec.package / spec.executable
    return [*ending_with_parent(), str(path)]
