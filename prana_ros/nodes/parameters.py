"""Node parameters: declared with type, range and description, refused in one sentence.

An invalid value given at start does not crash the node: it is remembered and refused at configure (`PranaNode`), where
a supervisor sees it. A change at run time is refused by the parameter service with the same sentence, and with another
one where it would have no effect: most parameters are read at configure.
"""

import math
from collections.abc import Sequence
from enum import Enum
from typing import Any

from lifecycle_msgs.msg import State
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python

Range = tuple[float | None, float | None]

_LARGEST_INTEGER = 2**63 - 1


class Changeable(Enum):
    """When a parameter of a lifecycle node can be changed; the value is the sentence in its description."""

    UNCONFIGURED = "Can be changed while the node is unconfigured."
    INACTIVE = "Can be changed while the node is not active."
    LOWER = "Can be changed while the node is unconfigured, and made lower at any time."
    ALWAYS = "Can be changed at any time."


class ParameterError(ValueError):
    """A parameter value that the node does not accept; the message is one sentence for the user."""


def declare(
    node: Node,
    name: str,
    default: Any,
    description: str,
    range: Range | None = None,
    choices: Sequence[Any] | None = None,
    changeable: Changeable = Changeable.UNCONFIGURED,
) -> Any:
    """Declare a parameter and return its value.

    Args:
        node: the node; a `PranaNode` collects the errors until configure, any other node gets them raised.
        name: the parameter's name.
        default: the value without an override; it also fixes the type (bool, int, float, str or a list of one type).
            Where a float is declared an integer is accepted.
        description: one sentence with the unit, shown by `ros2 param describe`.
        range: smallest and largest allowed value, both included, None for an open end; holds for each list entry.
        choices: the allowed values.
        changeable: in which states it can be changed; the node hears of it in `apply_change`.

    Raises:
        ParameterError: an invalid override, on a node that is not a `PranaNode`.
    """
    value, error = default, None
    override = node._parameter_overrides.get(name)  # rclpy has no public access to values given at start
    if override is not None:
        value = _as_declared_type(override.value, default)
        error = violation(name, value, default, range, choices)
    errors = getattr(node, "parameter_errors", None)
    if error is not None:
        if errors is None:
            raise ParameterError(error)
        value = default
    described = f"{description} {changeable.value}"
    node.declare_parameter(name, value, _descriptor(default, described, range, choices), True)
    _refuse_invalid_changes(node, name, default, range, choices, changeable)
    if error is not None and errors is not None:  # after the declaration, which counts as a change to what is valid
        errors[name] = error
    return value


def too_late(name: str, value: Any, present: Any, changeable: Changeable, state: tuple[int, str]) -> str | None:
    """Return the sentence that says why a parameter cannot be changed now, None if it can.

    Args:
        name, value, present: the parameter, what it is to be and what it is.
        changeable: when it can be changed.
        state: number and label of the node's lifecycle state.
    """
    number, label = state
    if number == State.PRIMARY_STATE_UNCONFIGURED or changeable is Changeable.ALWAYS:
        return None
    if changeable is Changeable.INACTIVE:
        if number == State.PRIMARY_STATE_INACTIVE:
            return None
        return f"parameter '{name}' can be changed while the node is inactive or unconfigured, but it is {label}"
    if changeable is Changeable.LOWER:
        if value <= present:
            return None
        return (
            f"parameter '{name}' is {present!r} and can only be made lower while the node is {label}: for {value!r} "
            "clean the node up first"
        )
    return f"parameter '{name}' can be changed while the node is unconfigured, but it is {label}"


def violation(name: str, value: Any, default: Any, range: Range | None, choices: Sequence[Any] | None) -> str | None:
    """Return the sentence that says why `value` is not allowed, None if it is."""
    wanted, found = _type_name(default), _type_name(value)
    if found != wanted and not (isinstance(value, list) and isinstance(default, list) and not value):
        return f"parameter '{name}' is {value!r} ({found}), but must be of type {wanted}"
    if choices is not None and value not in choices:
        return f"parameter '{name}' is {value!r}, but must be one of {', '.join(map(repr, choices))}"
    entries = value if isinstance(value, list) else [value]
    if any(isinstance(entry, float) and math.isnan(entry) for entry in entries):
        return f"parameter '{name}' is {value!r}, but must be a number"
    if range is not None and not all(_within(entry, range) for entry in entries):
        return f"parameter '{name}' is {value!r}, but must be {_range_text(range)}"
    return None


def _as_declared_type(value: Any, default: Any) -> Any:
    """Return the value as plain Python; `rate: 100` is meant as 100.0 where a float is declared."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = list(value)
        if isinstance(default, list) and default and isinstance(default[0], float):
            return [float(entry) if type(entry) is int else entry for entry in value]
    if isinstance(default, float) and type(value) is int:
        return float(value)
    return value


def _type_name(value: Any) -> str:
    if isinstance(value, list):
        return f"list of {_type_name(value[0])}" if value else "list"
    names = {bool: "bool", int: "integer", float: "float", str: "string"}
    return names.get(type(value), type(value).__name__)


def _within(value: float, range: Range) -> bool:
    low, high = range
    return (low is None or value >= low) and (high is None or value <= high)


def _range_text(range: Range) -> str:
    low, high = range
    if low is None:
        return f"at most {high:g}"
    if high is None:
        return f"at least {low:g}"
    return f"from {low:g} to {high:g}"


def _descriptor(
    default: Any, description: str, range: Range | None, choices: Sequence[Any] | None
) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=description)
    if choices is not None:
        descriptor.additional_constraints = f"one of {', '.join(map(repr, choices))}"
    if range is None:
        return descriptor
    low, high = range
    if isinstance(default, float):
        bounds = FloatingPointRange(
            from_value=-math.inf if low is None else float(low), to_value=math.inf if high is None else float(high)
        )
        descriptor.floating_point_range = [bounds]
    elif isinstance(default, int):
        bounds = IntegerRange(
            from_value=-_LARGEST_INTEGER if low is None else int(low),
            to_value=_LARGEST_INTEGER if high is None else int(high),
        )
        descriptor.integer_range = [bounds]
    else:
        descriptor.additional_constraints = f"each entry {_range_text(range)}"
    return descriptor


def _refuse_invalid_changes(
    node: Node,
    name: str,
    default: Any,
    range: Range | None,
    choices: Sequence[Any] | None,
    changeable: Changeable,
) -> None:
    def check(changes: list[Parameter]) -> SetParametersResult:
        for change in changes:
            if change.name == name:
                value = _as_declared_type(parameter_value_to_python(change.get_parameter_value()), default)
                error = violation(name, value, default, range, choices)
                if error is None and isinstance(node, LifecycleNode):
                    present = node.get_parameter(name).value
                    error = too_late(name, value, present, changeable, node._state_machine.current_state)
                if error is not None:
                    return SetParametersResult(successful=False, reason=error)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
