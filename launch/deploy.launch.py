"""Runs a policy on an arm or on the twin: the graph of ``prana_ros.graphs.deploy`` with its lifecycle transitions.

ros2 launch prana_ros deploy.launch.py port:=/dev/ttyACM0 robot_id:=my_arm policy_path:=... cameras:=cameras.yaml
ros2 launch prana_ros deploy.launch.py sim:=true policy_path:=...

Launch returns a code other than 0 only where an exception is raised while it handles an event, so a graph that failed
ends in one, with its reason.
"""

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events import Shutdown
from launch.events.process import ProcessExited, ProcessIO
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import Action, Event, EventHandler, LaunchContext, LaunchDescription
from prana_ros import resources
from prana_ros.bringup.options import HELP, default_text, options_from_text, require_known
from prana_ros.bringup.preparation import checked, graph_of, with_real_time_factor
from prana_ros.bringup.processes import OUTPUT_GRACE, describe_exit, last_error
from prana_ros.bringup.session import spinning_node
from prana_ros.episodes.series import EXIT_BROKEN_OFF
from prana_ros.graphs.deploy import DeployOptions
from prana_ros.graphs.spec import PACKAGE, Graph, NodeSpec, PackagedPath
from prana_ros.nodes.lifecycle_client import make_transition
from prana_ros.nodes.signals import parent_environment

OWN_ARGUMENTS_OF_LAUNCH = ("launch-prefix", "launch-prefix-filter", "emulate_tty")
POLL = 0.05


class GraphFailed(Event):
    """The graph could not come up or did not stay up."""

    name = "prana_ros.GraphFailed"

    def __init__(self, reason: str) -> None:
        self.reason = reason


def generate_launch_description() -> LaunchDescription:
    """Return an argument for every deploy option, and the graph that they make."""
    arguments = [
        DeclareLaunchArgument(option.name, default_value=default_text(option), description=HELP[option.name])
        for option in fields(DeployOptions)
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_launch_graph)])


def _launch_graph(context: LaunchContext) -> list[Action]:
    require_known(_given_arguments(context), "ros2 launch prana_ros deploy.launch.py --show-args")
    values = {option.name: context.launch_configurations[option.name] for option in fields(DeployOptions)}
    remarks: list[str] = []
    options = with_real_time_factor(checked(options_from_text(values)), remarks.append)
    graph = graph_of(options)
    nodes = {spec.name: _node(graph, spec) for spec in graph.nodes}
    errors: dict[str, str] = {}
    return [
        *(LogInfo(msg=remark) for remark in remarks),
        RegisterEventHandler(EventHandler(matcher=lambda event: isinstance(event, GraphFailed), entities=[_raise()])),
        *(_note_errors(spec, nodes[spec.name], errors) for spec in graph.nodes),
        *(_end_with(spec, nodes[spec.name]) for spec in graph.nodes),
        *nodes.values(),
        OpaqueFunction(function=_bring_up, args=[graph, nodes, errors]),
    ]


def _given_arguments(context: LaunchContext) -> list[str]:
    """Return the names on the command line, if it is this file that it starts: one that includes it has its own."""
    by_name = (PACKAGE, Path(__file__).name) in pairwise(sys.argv)
    if not by_name and Path(__file__).resolve() not in (Path(word).resolve() for word in sys.argv):
        return []
    names = [word.split(":=", 1)[0] for word in context.argv if ":=" in word]
    return [name for name in names if name not in OWN_ARGUMENTS_OF_LAUNCH]


def _node(graph: Graph, spec: NodeSpec) -> Node:
    parameters = [_path(spec.parameter_file)] if spec.parameter_file else []
    parameters.append({name: _parameter(value) for name, value in spec.parameters.items()})
    # Every process gets SIGINT at once, and the twin stays until the driver has brought the arm to rest on it: so each
    # may take as long as all of them together, rather than launch's five seconds.
    patience = str(sum(other.stop_time for other in graph.nodes))
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=graph.namespace,
        parameters=parameters,
        arguments=[_path(a) if isinstance(a, PackagedPath) else a for a in spec.arguments],
        additional_env=parent_environment(),
        output="screen",
        sigterm_timeout=patience,
        sigkill_timeout="5",
    )


def _bring_up(context: LaunchContext, graph: Graph, nodes: dict[str, Node], errors: dict[str, str]) -> None:
    """Make the graph's transitions one after the other, in a thread; report the first that is refused."""

    def wait(condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition():
            if context.is_shutdown:
                raise InterruptedError
            if time.monotonic() > end:
                return False
            time.sleep(POLL)
        return True

    def make_transitions() -> None:
        try:
            with spinning_node("prana_launch", "") as caller:
                for spec, verb in graph.transitions:
                    if not make_transition(caller, nodes[spec.name].node_name, verb, wait):
                        time.sleep(OUTPUT_GRACE)
                        fail(f"{spec.name}: {errors.get(spec.name, f'cannot {verb}, and does not say why.')}")
                        return
        except InterruptedError:
            pass
        except Exception as error:  # nobody else would hear of an exception in this thread
            fail(str(error))

    def fail(reason: str) -> None:
        context.asyncio_loop.call_soon_threadsafe(context.emit_event_sync, GraphFailed(reason))

    context.add_completion_future(context.asyncio_loop.run_in_executor(None, make_transitions))


def _end_with(spec: NodeSpec, node: Node) -> RegisterEventHandler:
    """Shut everything down when the series is over or this process died, and say which it was."""

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if context.is_shutdown and event.returncode in (0, -signal.SIGINT):
            return []
        if spec.ends_graph and event.returncode == 0:
            over = "the series of episodes is over"
            return [LogInfo(msg=over), EmitEvent(event=Shutdown(reason=over))]
        if spec.ends_graph and event.returncode == EXIT_BROKEN_OFF:
            return [_failure("an episode did not run to its end")]
        return [_failure(f"{spec.name} (process {event.pid}) {describe_exit(event.returncode)}")]

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=on_exit))


def _note_errors(spec: NodeSpec, node: Node, errors: dict[str, str]) -> RegisterEventHandler:
    """Keep the last error that a node logs: the reason for what it refuses."""

    def note(event: ProcessIO) -> None:
        if error := last_error(event.text.decode(errors="replace")):
            errors[spec.name] = error

    return RegisterEventHandler(OnProcessIO(target_action=node, on_stdout=note, on_stderr=note))


def _failure(reason: str) -> EmitEvent:
    return EmitEvent(event=GraphFailed(reason))


def _raise() -> OpaqueFunction:
    def raise_reason(context: LaunchContext) -> None:
        raise RuntimeError(context.locals.event.reason)

    return OpaqueFunction(function=raise_reason)


def _parameter(value: object) -> object:
    if isinstance(value, PackagedPath):
        value = _path(value)
    # Without its type launch would read a text as YAML: "1" as a number, the URDF as a mapping.
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value


def _path(packaged: PackagedPath) -> str:
    return str(resources.packaged(*packaged.path.split("/")))
