"""What the driver makes of a plan before the servos get it, for a twin that is run without the driver."""

import numpy as np

from prana_ros.simulation.demonstrations import CONTROL_RATE
from prana_ros.simulation.world import World
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.driver_state import DriverSettings
from prana_ros.so101.grip_guard import GripGuard
from prana_ros.so101.limits import Limiter
from prana_ros.so101.model import ACTUATOR
from prana_ros.so101.motion import GRIPPER, motion_limits

_PERIOD = 1 / CONTROL_RATE


class Restraint:
    """The driver's limits and grip guard, with the settings that it has by default.

    Without them a chunk that jumps would be followed as no arm follows it, and the gripper could press for ever with a
    force from which its servo protects itself.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._limiter = Limiter(motion_limits(twin_calibration(), DriverSettings()), world.goal)
        self._grip = GripGuard()

    def goal(self, planned: np.ndarray) -> np.ndarray:
        """The servos' goal (6,) for the planned position (6,) of this cycle, in rad; called once per cycle."""
        goal = self._limiter.step(planned, _PERIOD)
        position, load = self._world.position[GRIPPER], self._world.torque[GRIPPER] / ACTUATOR.torque_limit
        goal[GRIPPER] = self._grip.step(goal[GRIPPER], position, load, False, _PERIOD)
        return goal
