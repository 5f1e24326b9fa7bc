"""Success and the classes of failure, each brought about by hand."""

import numpy as np
import pytest

from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import STANDARD, TOOL_BACK, TOOL_RADIUS, TOOL_TIP, sample_scene
from prana_ros.simulation.task import TaskMonitor
from prana_ros.simulation.world import World
from prana_ros.so101.figures import REST_POSE

RAISED = np.array([0.3, -0.6, 0.6, 0.2, 0.0, 0.0])


@pytest.fixture
def world() -> World:
    return World(sample_scene(STANDARD, 0))


def put_tool(world: World, x: float, y: float, z: float, yaw: float, velocity: float = 0.0) -> None:
    tool = world._data.joint("tool")
    tool.qpos[:] = (x, y, z, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2))
    tool.qvel[:] = (0, 0, velocity, 0, 0, 0)
    world.step(1)


def put_tool_into_box(world: World, height: float = 0.006 + TOOL_RADIUS, turn: float = 0.0, shift: float = 0.0) -> None:
    yaw = world.scene.box_yaw + np.pi / 2
    middle = np.array(world.scene.box_position) + shift * np.array([np.cos(yaw), np.sin(yaw)])
    yaw += turn
    x, y = middle - (TOOL_BACK + TOOL_TIP) / 2 * np.array([np.cos(yaw), np.sin(yaw)])
    put_tool(world, x, y, height, yaw)


def watch(world: World, monitor: TaskMonitor, seconds: float) -> TaskMonitor:
    for _ in range(round(seconds * 50)):
        world.step(10)
        monitor.update()
    return monitor


def test_released_at_rest_in_the_box_is_success(world):
    monitor = TaskMonitor(world)
    put_tool_into_box(world)
    watch(world, monitor, 1.0)
    assert world.task_state().success
    assert monitor.outcome() == "success"
    assert 0.2 <= monitor.success_time <= 1.0


def test_a_gripper_still_closed_away_from_home_is_no_success(world):
    world.goal = RAISED
    world.step(1000)
    monitor = TaskMonitor(world)
    put_tool_into_box(world)
    assert watch(world, monitor, 1.0).outcome() == "missed"
    assert world.task_state().tool_in_box
    assert not world.task_state().released
    world.goal = RAISED + np.array([0, 0, 0, 0, 0, 0.5])
    assert watch(world, monitor, 1.0).outcome() == "success", "opening the gripper releases it"


def test_in_the_box_after_a_lift_but_never_let_go(world):
    world.goal = RAISED
    world.step(1000)
    monitor = TaskMonitor(world)
    put_tool(world, 0.3, 0.2, 0.15, 0.0)
    monitor.update()
    put_tool_into_box(world)
    assert watch(world, monitor, 0.6).outcome() == "timeout"


def test_success_has_to_last(world):
    monitor = TaskMonitor(world)
    put_tool_into_box(world)
    world.step(150)
    monitor.update()
    assert world.task_state().success
    assert not monitor.success
    put_tool(world, 0.25, 0.1, TOOL_RADIUS, 1.0)
    assert not watch(world, monitor, 0.5).success


def test_falling_through_the_box_is_not_at_rest(world):
    put_tool_into_box(world, height=0.040)
    world.step(10)
    state = world.task_state()
    assert state.tool_in_box
    assert not state.tool_at_rest
    assert not state.success


def test_lying_across_the_rim_is_not_in_the_box(world):
    put_tool_into_box(world, height=0.06, turn=np.pi / 2)
    world.step(500)
    assert not world.task_state().tool_in_box


def test_above_the_box_is_not_in_it(world):
    put_tool_into_box(world, height=0.12)
    assert not world.task_state().tool_in_box


def test_nothing_happened(world):
    assert watch(world, TaskMonitor(world), 0.3).outcome() == "missed"


def test_pushed_but_never_lifted(world):
    monitor = TaskMonitor(world)
    x, y = world.scene.tool_position
    put_tool(world, x + 0.03, y, TOOL_RADIUS, world.scene.tool_yaw)
    assert watch(world, monitor, 0.3).outcome() == "missed"


def test_in_the_air_is_not_over_and_then_dropped(world):
    monitor = TaskMonitor(world)
    put_tool(world, 0.3, 0.25, 0.3, 0.5, velocity=-0.1)
    monitor.update()
    assert monitor.outcome() == "timeout"
    assert watch(world, monitor, 2.0).outcome() == "dropped"


def test_left_across_the_rim_is_over(world):
    monitor = TaskMonitor(world)
    put_tool_into_box(world, height=0.06, turn=np.pi / 2)
    monitor.update()
    assert watch(world, monitor, 1.0).outcome() == "dropped"
    assert world.task_state().tool_height > TOOL_RADIUS + 0.02


def carried(world: World) -> tuple[TaskMonitor, np.ndarray]:
    """The tool in the jaws, half way to the box, and the goals that hold it there."""
    world.reset(sample_scene(STANDARD, 6))
    monitor, expert = TaskMonitor(world), Expert(world.scene)
    for tick in range(430):
        world.goal = expert.target(tick / 100)
        world.step(5)
        if tick % 10 == 0:
            monitor.update()
    assert expert.leg(4.3).name == "carry"
    assert world.tool_touches_arm()
    assert monitor.outcome() == "timeout", "still in the jaws"
    return monitor, world.goal.copy()


@pytest.mark.parametrize("opening", [0.1, 0.3, 0.5])
def test_let_go_of_on_the_way_is_outside_the_box(world, opening):
    monitor, hold = carried(world)
    for share in np.linspace(0, 1, 5):
        world.goal = hold + share * np.array([0, 0, 0, 0, 0, opening])
        watch(world, monitor, 0.1)
    assert watch(world, monitor, 1.0).outcome() == "outside the box"
    assert not world.tool_touches_arm()


def test_lost_from_closed_jaws_is_dropped(world):
    monitor, _ = carried(world)
    world.arms[0].torque_limit = np.array([1, 1, 1, 1, 1, 0])
    assert watch(world, monitor, 1.5).outcome() == "dropped"


def test_moved_about_in_the_jaws_is_not_lost(world):
    monitor, hold = carried(world)
    for lift in (0.15, -0.3, 0.0):
        world.goal = hold + np.array([lift, lift, 0, 0, lift, 0])
        assert watch(world, monitor, 0.8).outcome() == "timeout"


def test_success_stays_success(world):
    monitor = TaskMonitor(world)
    put_tool_into_box(world)
    watch(world, monitor, 0.6)
    world.goal = np.array(REST_POSE) + np.array([0.8, 0.5, -0.5, 0, 0, 0])
    assert watch(world, monitor, 0.5).outcome() == "success"
