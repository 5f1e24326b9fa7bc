import math

import pytest
import rclpy
from hypothesis import given
from hypothesis import strategies as st
from rcl_interfaces.msg import ParameterType
from rclpy.parameter import Parameter

from prana_ros.nodes.parameters import ParameterError, declare, violation


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
    assert descriptor.description == "how often, Hz"
    assert descriptor.read_only
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


def test_a_read_only_parameter_cannot_be_changed(node):
    owner = node()
    declare(owner, "rate", 10.0, "Hz")
    (result,) = owner.set_parameters([Parameter("rate", value=20.0)])
    assert not result.successful
    assert owner.get_parameter("rate").value == 10.0


def test_a_change_at_run_time_is_checked(node):
    owner = node()
    declare(owner, "gains", [1.0], "factors", range=(0.0, 2.0), read_only=False)
    declare(owner, "mode", "fast", "how", choices=("fast", "slow"), read_only=False)
    accepted, refused, unknown = owner.set_parameters(
        [Parameter("gains", value=[0.5, 2.0]), Parameter("gains", value=[3.0]), Parameter("mode", value="medium")]
    )
    assert accepted.successful
    assert list(owner.get_parameter("gains").value) == [0.5, 2.0]
    assert refused.reason == "parameter 'gains' is [3.0], but must be from 0 to 2"
    assert unknown.reason == "parameter 'mode' is 'medium', but must be one of 'fast', 'slow'"


bound = st.none() | st.floats(-100, 100)


@given(st.floats(), bound, bound)
def test_a_value_is_refused_exactly_when_it_lies_outside(value, low, high):
    inside = not math.isnan(value) and (low is None or low <= value) and (high is None or value <= high)
    assert (violation("x", value, 0.0, (low, high), None) is None) == inside


@given(st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.floats(0, 1))))
def test_only_the_declared_type_is_accepted(value):
    accepted = [default for default in (True, 1, 1.0, "", [1.0]) if violation("x", value, default, None, None) is None]
    assert [type(default) for default in accepted] == [type(value)]
