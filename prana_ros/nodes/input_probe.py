"""Look at a node's live inputs from inside one of its transitions.

A transition is a callback: while it lasts the node's own executor serves no subscription and no ``/clock``. So the
inputs are read by a second node, with an executor of its own, which exists for as long as the look takes.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from prana_ros.inference.live_check import LiveCheck, Source
from prana_ros.inference.observations import InputError, Observation, ObservationBuffer
from prana_ros.nodes.policy_inputs import subscribe_inputs

_POLL = 0.05


def first_observation(
    node: Node,
    topics: Mapping[str, str],
    buffer: ObservationBuffer,
    check: LiveCheck,
    input_wait: float,
    pairing_wait: float,
) -> Observation:
    """Listen until every input can be judged, and pair one observation of what came.

    Args:
        node: on whose behalf.
        topics: full name of each input's topic.
        buffer: takes what comes.
        check: judges it.
        input_wait: wall time (s) in which every input must have come.
        pairing_wait: wall time (s) after that in which there must be an observation.

    Raises:
        InputError: an input is missing or does not suit the policy; a sentence for each.
    """
    with _second_node(node) as (second, executor):
        subscribe_inputs(second, topics, lambda: buffer)
        begin = time.monotonic()
        while not check.is_complete(buffer.summaries(), time.monotonic()) and time.monotonic() < begin + input_wait:
            executor.spin_once(timeout_sec=_POLL)
        sources = {name: Source(topic, second.count_publishers(topic)) for name, topic in topics.items()}
        if complaints := check.complaints(buffer.summaries(), sources, time.monotonic() - begin):
            raise InputError(" ".join(complaints))
        return _pair(buffer, second, executor, pairing_wait)


def _pair(buffer: ObservationBuffer, second: Node, executor: SingleThreadedExecutor, wait: float) -> Observation:
    end = time.monotonic() + wait
    while True:
        try:
            return buffer.observe(second.get_clock().now().nanoseconds)
        except InputError:
            if time.monotonic() >= end:
                raise
        executor.spin_once(timeout_sec=_POLL)


@contextmanager
def _second_node(node: Node) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """A node beside another, on the same clock, and what spins it."""
    second = rclpy.create_node(
        f"_{node.get_name()}_inputs",
        namespace=node.get_namespace(),
        context=node.context,
        # The process's arguments would give it the other node's name and parameters.
        use_global_arguments=False,
        enable_rosout=False,
        start_parameter_services=False,
        parameter_overrides=[
            Parameter("use_sim_time", value=node.get_parameter("use_sim_time").value),
            Parameter("start_type_description_service", value=False),
        ],
    )
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(second)
    try:
        yield second, executor
    finally:
        executor.shutdown()
        second.destroy_node()
