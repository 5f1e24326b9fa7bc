"""The base class of all nodes.

A node is written as a subclass that

- declares its parameters in `__init__` (`parameters.declare`),
- overrides the hooks `configure`, `activate`, `deactivate`, `check_cleanup`, `cleanup`; each raises an exception
  whose message is one sentence for the user, and returns nothing.

`configure` creates publishers, subscriptions, timers and services; the base destroys whatever it created after
`cleanup`. `cleanup` also runs after a failed `configure`, so it must cope with half of the things being there. A
shutdown is `deactivate` (if active) followed by `cleanup`, so nothing else has to be written for it.
"""

import traceback
from collections.abc import Callable, Iterable
from typing import Any

from lifecycle_msgs.msg import State
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from prana_ros.nodes.parameters import ParameterError

# Exceptions with which the core refuses bad input or reports the world outside: their message is enough. Anything else
# is a defect of the program, whose traceback is wanted.
_EXPECTED_ERRORS = (OSError, ValueError, RuntimeError, ImportError)


class PranaNode(LifecycleNode):
    """A lifecycle node that refuses a transition with one logged sentence.

    Attributes:
        parameter_errors: sentence for each parameter whose value at start is not allowed; refused at configure.
        finished: set by `finish`; `run_node` then shuts the node down.
        exit_code: what the process returns.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        self.parameter_errors: dict[str, str] = {}
        self.finished = False
        self.exit_code = 0
        self._entities_before_configure: set[Any] = set()
        super().__init__(name, **kwargs)
        self.add_post_set_parameters_callback(self._after_changes)

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Read the parameters, open devices, create publishers and subscriptions."""

    def activate(self) -> None:
        """Start working. The lifecycle publishers are enabled already."""

    def deactivate(self) -> None:
        """Stop working, keep what is open."""

    def check_cleanup(self) -> None:
        """Raise where a cleanup on request must be refused; a shutdown does not ask."""

    def cleanup(self) -> None:
        """Release everything `configure` made, also when it failed halfway."""

    def apply_change(self, name: str, value: Any) -> None:
        """Take the new value of a parameter that was changed while the node was configured."""

    # -- for subclasses ------------------------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Whether the node is in the active state."""
        return self._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE

    def value(self, name: str) -> Any:
        """Return the value of a parameter; a list as a Python list."""
        value = self.get_parameter(name).value
        return value if isinstance(value, str | bool | int | float) else list(value)

    def now_ns(self) -> int:
        """Return the node's clock (simulated time where `use_sim_time` is set) in nanoseconds."""
        return self.get_clock().now().nanoseconds

    def finish(self, exit_code: int = 0) -> None:
        """Ask `run_node` to shut the node down and to end the process; may be called from any thread."""
        self.exit_code = exit_code
        self.finished = True

    # -- transitions ---------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        if not self._succeeds("configure", self._check_parameters):
            return TransitionCallbackReturn.FAILURE
        self._entities_before_configure = set(self._all_entities())
        if not self._succeeds("configure", self.configure):
            self._release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        if self._succeeds("activate", self.activate):
            return TransitionCallbackReturn.SUCCESS
        super().on_deactivate(state)
        return TransitionCallbackReturn.FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        succeeded = self._succeeds("deactivate", self.deactivate)
        super().on_deactivate(state)
        return TransitionCallbackReturn.SUCCESS if succeeded else TransitionCallbackReturn.ERROR

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        if not self._succeeds("clean up", self.check_cleanup):
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS if self._release() else TransitionCallbackReturn.ERROR

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        if state.state_id == State.PRIMARY_STATE_ACTIVE:
            self.on_deactivate(state)
        if state.state_id != State.PRIMARY_STATE_UNCONFIGURED:
            self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        if state.state_id in (State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_INACTIVE):
            self._release()
        return TransitionCallbackReturn.SUCCESS

    # -- internals -----------------------------------------------------------------------------------------------------

    def _after_changes(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            # What is valid now is no longer to be refused at configure.
            self.parameter_errors.pop(parameter.name, None)
            if self._state_machine.current_state[0] != State.PRIMARY_STATE_UNCONFIGURED:
                self.apply_change(parameter.name, parameter.value)

    def _check_parameters(self) -> None:
        errors = list(self.parameter_errors.values())
        declared = self._parameters.keys()
        errors += [
            f"parameter '{name}' is unknown; this node has {', '.join(sorted(map(repr, self._own_parameters())))}"
            for name in self._parameter_overrides
            if name not in declared and not name.startswith("qos_overrides.")
        ]
        if errors:
            raise ParameterError("; ".join(errors))

    def _own_parameters(self) -> list[str]:
        inherited = ("use_sim_time", "start_type_description_service")
        return [name for name in self._parameters if name not in inherited and not name.startswith("qos_overrides.")]

    def _succeeds(self, action: str, hook: Callable[[], None]) -> bool:
        try:
            hook()
        except _EXPECTED_ERRORS as error:
            self.get_logger().error(f"cannot {action}: {error}")
            self.get_logger().debug(traceback.format_exc())
            return False
        except Exception as error:
            self.get_logger().error(f"cannot {action}: {error!r}\n{traceback.format_exc()}")
            return False
        return True

    def _release(self) -> bool:
        succeeded = self._succeeds("clean up", self.cleanup)
        self._destroy_entities_of_configure()
        return succeeded

    def _all_entities(self) -> Iterable[Any]:
        for entities in (self.publishers, self.subscriptions, self.timers, self.services, self.clients, self.waitables):
            yield from entities

    def _destroy_entities_of_configure(self) -> None:
        before = self._entities_before_configure
        # Actions first: they own waitables. The waitables that remain are event handlers, which go with their owners.
        for waitable in [w for w in self.waitables if w not in before]:
            if hasattr(waitable, "destroy"):
                waitable.destroy()
        for entities, destroy in (
            (self.publishers, self.destroy_lifecycle_publisher),
            (self.subscriptions, self.destroy_subscription),
            (self.timers, self.destroy_timer),
            (self.services, self.destroy_service),
            (self.clients, self.destroy_client),
        ):
            for entity in [e for e in entities if e not in before]:
                destroy(entity)
