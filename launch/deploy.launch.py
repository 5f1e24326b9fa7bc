"""Runs a policy on an arm or on the twin: the graph of ``prana_ros.graph`` with its lifecycle transitions.

ros2 launch prana_ros deploy.launch.py port:=/dev/ttyACM0 robot_id:=my_arm policy_path:=... cameras:=cameras.yaml
ros2 launch prana_ros deploy.launch.py sim:=true policy_path:=...
"""

from dataclasses import fields

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown, matches_action
from launch.events.process import ProcessExited
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

from launch import Action, LaunchContext, LaunchDescription
from prana_ros import resources
from prana_ros.cli.options import HELP, options_from_text
from prana_ros.cli.processes import describe_exit
from prana_ros.graph import DeployOptions, Graph, NodeSpec, PackagedPath, build_graph
from prana_ros.so101.urdf import robot_description

TRANSITIONS = {
    "configure": (Transition.TRANSITION_CONFIGURE, "configuring", "unconfigured", "inactive"),
    "activate": (Transition.TRANSITION_ACTIVATE, "activating", "inactive", "active"),
}
"""Each verb's transition, and the states on the way, before and after."""


def generate_launch_description() -> LaunchDescription:
    """Return an argument for every deploy option, and the graph that they make."""
    arguments = [
        DeclareLaunchArgument(option.name, default_value=_default_text(option), description=HELP[option.name])
        for option in fields(DeployOptions)
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_launch_graph)])


def _launch_graph(context: LaunchContext) -> list[Action]:
    values = {option.name: context.launch_configurations[option.name] for option in fields(DeployOptions)}
    options = options_from_text(values)
    graph = build_graph(options, robot_description() if options.rviz else "")
    nodes = {spec.name: _node(graph, spec) for spec in graph.nodes}
    return [
        *_end_with_any_process(graph, nodes),
        *_transitions_in_order(graph, nodes),
        *nodes.values(),
    ]


def _node(graph: Graph, spec: NodeSpec) -> Node:
    parameters = [_path(spec.parameter_file)] if spec.parameter_file else []
    parameters.append({name: _parameter(value) for name, value in spec.parameters.items()})
    # Every process gets SIGINT at once, and the twin stays until the driver has brought the arm to rest on it: so each
    # may take as long as all of them together, rather than launch's five seconds.
    patience = str(sum(other.stop_time for other in graph.nodes))
    return (LifecycleNode if spec.lifecycle else Node)(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=graph.namespace,
        parameters=parameters,
        arguments=[_path(a) if isinstance(a, PackagedPath) else a for a in spec.arguments],
        output="screen",
        sigterm_timeout=patience,
        sigkill_timeout="5",
    )


def _transitions_in_order(graph: Graph, nodes: dict[str, Node]) -> list[Action]:
    """Make the graph's transitions one after the other; shut down if a node refuses one."""
    steps = [(nodes[spec.name], spec.name, *TRANSITIONS[verb], verb) for spec, verb in graph.transitions]
    changes = [_change(node, transition) for node, _, transition, *_ in steps]
    actions: list[Action] = []
    for (node, name, _, on_the_way, before, after, verb), following in zip(steps, [*changes[1:], None], strict=True):
        actions.append(_on(node, on_the_way, before, [_shutdown(f"{name} refused to {verb}")]))
        if following is not None:
            actions.append(_on(node, on_the_way, after, [following]))
    return [*actions, changes[0]]


def _end_with_any_process(graph: Graph, nodes: dict[str, Node]) -> list[Action]:
    """Shut everything down when the series is over or any process died, and say which it was."""

    def on_exit(event: ProcessExited, context: LaunchContext, spec: NodeSpec) -> list[Action]:
        if context.is_shutdown:
            return []
        if spec.ends_graph and event.returncode == 0:
            return [_shutdown("the series of episodes is over")]
        return [_shutdown(f"{spec.name} (process {event.pid}) {describe_exit(event.returncode)}")]

    return [
        RegisterEventHandler(
            OnProcessExit(
                target_action=nodes[spec.name],
                on_exit=lambda event, context, spec=spec: on_exit(event, context, spec),
            )
        )
        for spec in graph.nodes
    ]


def _on(node: LifecycleNode, start: str, goal: str, actions: list[Action]) -> RegisterEventHandler:
    return RegisterEventHandler(
        OnStateTransition(target_lifecycle_node=node, start_state=start, goal_state=goal, entities=actions)
    )


def _change(node: LifecycleNode, transition: int) -> EmitEvent:
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))


def _shutdown(reason: str) -> EmitEvent:
    return EmitEvent(event=Shutdown(reason=reason))


def _parameter(value: object) -> object:
    if isinstance(value, PackagedPath):
        value = _path(value)
    # Without its type launch would read a text as YAML: "1" as a number, the URDF as a mapping.
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value


def _path(packaged: PackagedPath) -> str:
    return str(resources.packaged(*packaged.path.split("/")))


def _default_text(option: object) -> str:
    return "" if option.name == "cameras" else str(option.default)
