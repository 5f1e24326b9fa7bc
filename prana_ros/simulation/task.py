"""The task: put the screwdriver into the box and let go of it."""

from dataclasses import dataclass

import numpy as np

from prana_ros.simulation.scene import BOX_HEIGHT, BOX_INNER, TOOL_RADIUS, to_box
from prana_ros.simulation.world import World

TASK = "Put the screwdriver into the box"

TOLERANCE = 0.002
"""m by which an end of the tool may be beyond the inside of the box: a tool that leans on a wall sinks a few
micrometres into it. A wall is 4 mm thick, so a tool beside the box is farther away by that and its own radius."""
LETTING_GO = np.radians(2.0)
"""A gripper that is told to open this far lets go: the handle is held with a goal below the 1.2 deg that it allows."""
LIFTED = 0.03


@dataclass(frozen=True)
class TaskState:
    """One moment of the task."""

    tool_height: float
    """Of the handle's middle over the table (m)."""
    tool_in_box: bool
    """Both ends of the tool are over the inside of the box (within ``TOLERANCE``), and its middle is below the rim."""
    tool_at_rest: bool
    released: bool
    """Nothing of the arm touches the tool."""

    @property
    def success(self) -> bool:
        """The screwdriver lies in the box, released."""
        return self.tool_in_box and self.tool_at_rest and self.released


def task_state(world: World) -> TaskState:
    """How far the task is in ``world`` now."""
    with world.lock:  # one moment, although another thread may step the world
        return _state_of(world)


def _state_of(world: World) -> TaskState:
    position, quaternion = world.object_poses()["tool"]
    w, x, y, z = quaternion
    axis = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)])
    back, tip = world.scene.tool_ends
    ends = position + np.outer((back, (back + tip) / 2, tip), axis)
    over = np.abs(to_box(ends[:, :2], np.array(world.scene.box_position), world.scene.box_yaw)) <= BOX_INNER + TOLERANCE
    linear, angular = world.tool_speed()
    return TaskState(
        tool_height=float(position[2]),
        tool_in_box=bool(over.all() and ends[1, 2] < BOX_HEIGHT),
        tool_at_rest=linear < 0.02 and angular < 0.3,
        released=not world.tool_touches_arm(),
    )


class TaskMonitor:
    """Watches an episode and names its outcome. Call ``update`` at least ten times a simulated second.

    Success is a state that lasted ``hold`` seconds. Failures: ``missed`` (the tool was never lifted, pushed about or
    not), ``dropped`` (it left the jaws although they were told to hold it), ``outside the box`` (let go of, and lying
    elsewhere), ``timeout`` (not done yet: in the jaws, in the air, or in the box and not released). A run that was
    broken off is a ``stop``, which only those know who broke it off.
    """

    def __init__(self, world: World, hold: float = 0.2) -> None:
        self._world, self._hold = world, hold
        self._since: float | None = None
        self._lifted = False
        self._let_go: bool | None = None
        self.success = False
        self.success_time: float | None = None

    def update(self) -> bool:
        """Look at the world once more; true from the moment of success on."""
        state = task_state(self._world)
        self._lifted |= state.tool_height > TOOL_RADIUS + LIFTED
        self._watch_jaws(_aloft(state))
        if not state.success:
            self._since = None
        elif self._since is None:
            self._since = self._world.time
        if self._since is not None and self._world.time - self._since >= self._hold and not self.success:
            self.success, self.success_time = True, self._world.time
        return self.success

    def _watch_jaws(self, aloft: bool) -> None:
        """Note whether the gripper was being opened when a lifted tool left it."""
        if self._world.tool_touches_arm():
            if aloft:
                self._let_go = None
        elif self._lifted and self._let_go is None:
            self._let_go = bool(self._world.goal[5] > LETTING_GO)

    def outcome(self) -> str:
        """``success`` or the class of the failure."""
        if self.success:
            return "success"
        if not self._lifted:
            return "missed"
        state = task_state(self._world)
        left_alone = state.released and state.tool_at_rest
        if state.tool_in_box or (_aloft(state) and not left_alone):
            return "timeout"
        return "outside the box" if self._let_go else "dropped"


def _aloft(state: TaskState) -> bool:
    return state.tool_height > TOOL_RADIUS + LIFTED / 2
