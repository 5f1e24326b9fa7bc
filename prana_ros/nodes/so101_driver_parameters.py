"""The parameters of the driver node."""

from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.parameters import Changeable, ParameterError, declare
from prana_ros.so101.driver_state import DriverSettings
from prana_ros.so101.model import JOINT_NAMES

_DEFAULTS = DriverSettings()


def declare_parameters(node: PranaNode) -> None:
    """Declare them all; they are read at configure, and a lower limit holds at once."""
    declare(node, "port", "", "Serial port of the arm, such as /dev/ttyACM0.")
    declare(node, "robot_id", "", "Name under which the arm was calibrated, LeRobot's --robot.id.")
    declare(node, "calibration_dir", "", "Folder of the calibration files; empty is LeRobot's.")
    declare(node, "write_calibration", False, "Write the calibration file into motors that have another calibration.")
    declare(node, "dry_run", False, "Never move the arm, and switch its torque on only if that is asked for.")
    _declare_setting(node, "rate", "Servo cycles per second.", (10.0, 250.0))
    _declare_setting(node, "max_velocity", "Highest joint velocity, rad/s.", (0.05, 6.0), Changeable.LOWER)
    _declare_setting(node, "max_acceleration", "Highest joint acceleration, rad/s².", (0.5, 200.0), Changeable.LOWER)
    _declare_setting(
        node, "rest_velocity", "Highest joint velocity on the way to rest, rad/s.", (0.05, 2.0), Changeable.LOWER
    )
    _declare_setting(node, "max_temperature", "Motor temperature above which the arm stops, °C.", (30.0, 75.0))
    _declare_setting(node, "min_voltage", "Supply voltage below which the arm stops, V.", (0.0, 12.0))
    _declare_setting(
        node, "communication_timeout", "Seconds without an answer from the servos that stop the arm.", (0.05, 10.0)
    )
    declare(
        node,
        "rest_pose",
        list(_DEFAULTS.rest_pose),
        "Where the arm lies on itself: six joint angles, rad.",
        (-3.2, 3.2),
    )


def driver_settings(node: PranaNode) -> DriverSettings:
    """Return the settings of the driver. Raises :class:`ParameterError` if the rest pose lacks a joint."""
    rest_pose = tuple(node.value("rest_pose"))
    if len(rest_pose) != len(JOINT_NAMES):
        raise ParameterError(
            f"parameter 'rest_pose' has {len(rest_pose)} angles, but must have one for each of "
            f"{', '.join(JOINT_NAMES)}."
        )
    return DriverSettings(
        rate=node.value("rate"),
        max_velocity=node.value("max_velocity"),
        max_acceleration=node.value("max_acceleration"),
        rest_pose=rest_pose,
        rest_velocity=node.value("rest_velocity"),
        max_temperature=node.value("max_temperature"),
        min_voltage=node.value("min_voltage"),
        communication_timeout=node.value("communication_timeout"),
        dry_run=node.value("dry_run"),
    )


def _declare_setting(
    node: PranaNode,
    name: str,
    description: str,
    allowed: tuple[float, float],
    changeable: Changeable = Changeable.UNCONFIGURED,
) -> None:
    declare(node, name, getattr(_DEFAULTS, name), description, range=allowed, changeable=changeable)
