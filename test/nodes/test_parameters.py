import math

import pytest
import rclpy
from hypothesis import given
from hypothesis import strategies as st
from rcl_interfaces.msg import ParameterType
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.parameters import Changeable, ParameterError, declare, violation


@pytest.fixture(scope="module")
def context():
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.shutdown(context=context)


@pytest.fixture
def node(context):
    created = []

    def create(**overrides):
        given_values = [Parameter(name, value=value) for name, value in overrides.items()]
        node = rclpy.create_node("node", context=context, parameter_overrides=given_values)
        created.append(node)
        return node

    yield create
    for node in created:
        node.destroy_node()


def test_a_parameter_is_declared_with_type_range_and_description(node):
    owner = node()
    assert declare(owner, "rate", 10.0, "how often, Hz", range=(1.0, 100.0)) == 10.0
    descriptor = owner.describe_parameter("rate")
    assert descriptor.type == ParameterType.PARAMETER_DOUBLE
    assert descriptor.description == "how often, Hz Can be changed while the node is unconfigured."
    (bounds,) = descriptor.floating_point_range
    assert (bounds.from_value, bounds.to_value) == (1.0, 100.0)


def test_an_override_wins_and_an_integer_counts_as_a_float(node):
    owner = node(rate=20, depth=3)
    assert declare(owner, "rate", 10.0, "Hz") == 20.0
    assert owner.get_parameter("rate").type_ == Parameter.Type.DOUBLE
    assert declare(owner, "depth", 5, "messages", range=(1, None)) == 3


def test_a_float_is_not_taken_for_an_integer(node):
    with pytest.raises(ParameterError, match=r"'depth' is 3.5 \(float\), but must be of type integer"):
        declare(node(depth=3.5), "depth", 5, "messages")


def test_choices_are_described(node):
    owner = node()
    declare(owner, "source", "file", "where frames come from", choices=("file", "opencv"))
    assert owner.describe_parameter("source").additional_constraints == "one of 'file', 'opencv'"


def test_a_change_at_run_time_is_checked(node):
    owner = node()
    declare(owner, "gains", [1.0], "factors", range=(0.0, 2.0))
    declare(owner, "mode", "fast", "how", choices=("fast", "slow"))
    accepted, refused, unknown = owner.set_parameters(
        [Parameter("gains", value=[0.5, 2.0]), Parameter("gains", value=[3.0]), Parameter("mode", value="medium")]
    )
    assert accepted.successful
    assert list(owner.get_parameter("gains").value) == [0.5, 2.0]
    assert refused.reason == "parameter 'gains' is [3.0], but must be from 0 to 2"
    assert unknown.reason == "parameter 'mode' is 'medium', but must be one of 'fast', 'slow'"


class Changing(PranaNode):
    """Has a parameter of each kind, and notes what it hears of changes."""

    def __init__(self, context, **overrides) -> None:
        given_values = [Parameter(name, value=value) for name, value in overrides.items()]
        super().__init__("changing", context=context, parameter_overrides=given_values)
        for kind in Changeable:
            declare(self, kind.name.lower(), 2.0, f"{kind.name}.", range=(0.0, 10.0), changeable=kind)
        self.heard: list[tuple[str, float]] = []

    def apply_change(self, name: str, value: float) -> None:
        self.heard.append((name, value))

    def change(self, kind: Changeable, value: float) -> str:
        (result,) = self.set_parameters([Parameter(kind.name.lower(), value=value)])
        assert result.successful == (self.value(kind.name.lower()) == value)
        return result.reason


@pytest.fixture
def changing(context):
    created = []

    def create(**overrides):
        created.append(Changing(context, **overrides))
        return created[-1]

    yield create
    for node in created:
        node.destroy_node()


def test_what_is_read_at_configure_can_be_changed_before_it_and_not_after(changing):
    node = changing()
    assert {node.change(kind, 3.0) for kind in Changeable} == {""}
    assert node.heard == [], "configure reads them"
    node.trigger_configure()
    assert node.change(Changeable.UNCONFIGURED, 1.0) == (
        "parameter 'unconfigured' can be changed while the node is unconfigured, but it is inactive"
    )
    assert {node.change(kind, 2.5) for kind in list(Changeable)[1:]} == {""}
    node.trigger_activate()
    assert node.change(Changeable.INACTIVE, 1.0) == (
        "parameter 'inactive' can be changed while the node is inactive or unconfigured, but it is active"
    )
    assert node.change(Changeable.LOWER, 4.0) == (
        "parameter 'lower' is 2.5 and can only be made lower while the node is active: for 4.0 clean the node up first"
    )
    assert node.change(Changeable.LOWER, 2.0) == node.change(Changeable.ALWAYS, 4.0) == ""
    assert node.change(Changeable.ALWAYS, 40.0) == "Parameter always out of range Min: 0.0, Max: 10.0, value: 40.0"
    assert node.heard == [("inactive", 2.5), ("lower", 2.5), ("always", 2.5), ("lower", 2.0), ("always", 4.0)]
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert {node.change(kind, 9.0) for kind in Changeable} == {""}


def test_a_value_that_was_refused_at_start_can_be_mended(changing):
    node = changing(unconfigured=11.0)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert node.change(Changeable.UNCONFIGURED, 9.0) == ""
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS


bound = st.none() | st.floats(-100, 100)


@given(st.floats(), bound, bound)
def test_a_value_is_refused_exactly_when_it_lies_outside(value, low, high):
    inside = not math.isnan(value) and (low is None or low <= value) and (high is None or value <= high)
    assert (violation("x", value, 0.0, (low, high), None) is None) == inside


@given(st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.floats(0, 1))))
def test_only_the_declared_type_is_accepted(value):
    accepted = [default for default in (True, 1, 1.0, "", [1.0]) if violation("x", value, default, None, None) is None]
    assert [type(default) for default in accepted] == [type(value)]
