"""Success and the classes of failure, each brought about by hand."""

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import (
    BOX_HEIGHT,
    BOX_INNER,
    BOX_WALL,
    STANDARD,
    TOOL_BACK,
    TOOL_LENGTH,
    TOOL_RADIUS,
    TOOL_TIP,
    sample_scene,
)
from prana_ros.simulation.task import TaskMonitor, task_state
from prana_ros.simulation.world import World
from prana_ros.so101.model import REST_POSE


@cache
def shared_world() -> World:
    """One world for many examples, each of which puts the tool somewhere."""
    return World(sample_scene(STANDARD, 0))


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
    assert task_state(world).success
    assert monitor.outcome() == "success"
    assert 0.2 <= monitor.success_time <= 1.0


@pytest.mark.parametrize("away", [0.0, 0.26, 0.8])
@pytest.mark.parametrize("opening", [0.0, 0.5])
def test_wherever_the_arm_is_and_its_gripper_a_tool_that_it_does_not_touch_is_released(world, away, opening):
    world.goal = np.array(REST_POSE) + np.array([away, away, -away, 0, 0, opening])
    world.step(1000)
    monitor = TaskMonitor(world)
    put_tool_into_box(world)
    assert watch(world, monitor, 1.0).outcome() == "success"


def test_a_tool_in_the_box_is_no_success_while_the_jaws_touch_it(world):
    """The expert puts the tool into the box: success comes when the jaws have left it, and no earlier."""
    monitor, expert = TaskMonitor(world), Expert(world.scene)
    touched_in_box = 0
    for tick in range(900):
        world.goal = expert.target(tick / 100)
        world.step(5)
        state = task_state(world)
        touching = world.tool_touches_arm()
        assert state.released is not touching
        touched_in_box += state.tool_in_box and touching
        if monitor.update():
            break
    assert touched_in_box > 10
    assert monitor.outcome() == "success"
    assert not world.tool_touches_arm()


def test_in_the_jaws_over_the_box_after_a_lift_is_not_over(world):
    monitor, hold = carried(world)
    expert = Expert(world.scene)
    for tick in range(430, 900):
        world.goal = expert.target(tick / 100)
        world.step(5)
        if task_state(world).tool_in_box:
            break
    hold = world.goal.copy()
    for _ in range(30):
        world.goal = hold
        world.step(10)
        monitor.update()
    assert world.tool_touches_arm()
    assert monitor.outcome() == "timeout"


@given(st.floats(-0.03, 0.03))
def test_a_tool_may_reach_two_millimeters_into_the_end_wall_and_no_farther(shift):
    """Contacts are soft: a tool that leans on the end wall sinks into it, and is in the box all the same."""
    world = shared_world()
    put_tool_into_box(world, shift=shift)
    beyond = abs(shift) + TOOL_LENGTH / 2 - BOX_INNER[1]
    assume(abs(beyond - 0.002) > 2e-4)  # the step in which it was put there moves it a little
    assert task_state(world).tool_in_box == (beyond < 0.002)


@pytest.mark.parametrize("wall", [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)])
def test_a_tool_that_leans_on_the_box_from_outside_is_not_in_it(world, wall):
    """The middle is below the rim there too: only the thickness of the wall tells it from one that leans inside."""
    turn = np.array([[0, -1], [1, 0]]) if wall[0] else np.eye(2)
    beside = np.array(wall) * (BOX_INNER + BOX_WALL + TOOL_RADIUS)
    direction = turn @ np.array([1.0, 0.0])
    x, y = np.array(world.scene.box_position) + beside - (TOOL_BACK + TOOL_TIP) / 2 * direction
    put_tool(world, x, y, TOOL_RADIUS, float(np.arctan2(direction[1], direction[0])))
    assert world.object_poses()["tool"][0][2] < BOX_HEIGHT
    assert not task_state(world).tool_in_box


def test_success_has_to_last(world):
    monitor = TaskMonitor(world)
    put_tool_into_box(world)
    world.step(150)
    monitor.update()
    assert task_state(world).success
    assert not monitor.success
    put_tool(world, 0.25, 0.1, TOOL_RADIUS, 1.0)
    assert not watch(world, monitor, 0.5).success


def test_falling_through_the_box_is_not_at_rest(world):
    put_tool_into_box(world, height=0.040)
    world.step(10)
    state = task_state(world)
    assert state.tool_in_box
    assert not state.tool_at_rest
    assert not state.success


def test_lying_across_the_rim_is_not_in_the_box(world):
    put_tool_into_box(world, height=0.06, turn=np.pi / 2)
    world.step(500)
    assert not task_state(world).tool_in_box


def test_above_the_box_is_not_in_it(world):
    put_tool_into_box(world, height=0.12)
    assert not task_state(world).tool_in_box


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
    assert task_state(world).tool_height > TOOL_RADIUS + 0.02


def carried(world: World) -> tuple[TaskMonitor, np.ndarray]:
    """The tool in the jaws, half way to the box, and the goals that hold it there."""
    world.reset(sample_scene(STANDARD, 6))
    monitor, expert = TaskMonitor(world), Expert(world.scene)
    for tick in range(430):
        world.goal = expert.target(tick / 100)
        world.step(5)
        if tick % 10 == 0:
            monitor.update()
    assert expert.segment(4.3).name == "carry"
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
