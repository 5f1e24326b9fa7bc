"""A world whose arm is moved as the driver moves an arm, tick by tick, and whose task is watched meanwhile.

The one loop for everything that runs the twin without a serial port: evaluation in lock-step, the LeRobot environment,
the recording of demonstrations. Goals come from the driver's own :class:`~prana_ros.so101.motion.Motion`, with the
settings that the driver has by default. Without its limits a chunk that jumps would be followed as no arm follows it,
and without its grip guard the gripper could press with a force from which its servo protects itself.
"""

from dataclasses import dataclass

import numpy as np

from prana_ros.simulation.scene import Scene
from prana_ros.simulation.task import TaskMonitor
from prana_ros.simulation.world import World
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.driver_state import DriverSettings
from prana_ros.so101.model import ACTUATOR, JOINT_NAMES, SERVO_RATE
from prana_ros.so101.motion import Motion, motion_limits
from prana_ros.so101.trajectory import NANOSECONDS

TICKS = round(SERVO_RATE)
"""Servo goals a second: simulated time passes in these ticks."""
TICK_NS = NANOSECONDS // TICKS
WATCHED = 10
"""Ticks between two looks at the task."""
SETTLE_TIME = 0.4
"""Simulated seconds in which a scene comes to rest."""


@dataclass(frozen=True)
class _Feedback:
    position: np.ndarray
    load: np.ndarray
    error_bits: np.ndarray


class DrivenWorld:
    """``scene`` laid out in ``world`` and at rest, the arm at ``start`` (6,) rad or where the scene has it."""

    def __init__(self, world: World, scene: Scene, start: np.ndarray | None = None) -> None:
        world.reset(scene)
        if start is not None:
            world.goal = start
        world.step(round(SETTLE_TIME / world.timestep))
        settings = DriverSettings()
        self.world = world
        self.monitor = TaskMonitor(world)
        self.motion = Motion(
            motion_limits(twin_calibration(), settings), settings.rate, settings.rest_pose, settings.rest_velocity
        )
        self.motion.start_from(world.goal)
        self.tick = 0
        self._begin = world.time
        self._steps = round(1 / (TICKS * world.timestep))

    @property
    def now_ns(self) -> int:
        """The time of this tick, on a clock that does not start at zero, which means "now" in a trajectory."""
        return NANOSECONDS + self.tick * TICK_NS

    @property
    def elapsed(self) -> float:
        """Simulated seconds since the beginning."""
        return self.world.time - self._begin

    def step(self) -> None:
        """Let one tick pass."""
        load = self.world.torque / ACTUATOR.torque_limit
        feedback = _Feedback(self.world.position, load, np.zeros(len(JOINT_NAMES), dtype=int))
        self.world.goal = self.motion.goals(self.now_ns, feedback)
        self.world.step(self._steps)
        self.tick += 1
        if self.tick % WATCHED == 0:
            self.monitor.update()
