"""The scripted expert: closed-form kinematics, a smooth target within the limits, and a tool in the box."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from prana_ros.simulation.demonstration_style import PLAIN, TURN_BAND, DemonstrationStyle, draw_style
from prana_ros.simulation.expert import (
    GRIP,
    Expert,
    grasp_poses,
    gravity_torque,
    inverse_kinematics,
    place_pose,
)
from prana_ros.simulation.scene import HARD, PAN_AXIS, SHIFTED, STANDARD, Scene, sample_scene
from prana_ros.simulation.task import TaskMonitor, task_state
from prana_ros.simulation.world import World
from prana_ros.so101.kinematics import forward, position_limits
from prana_ros.so101.model import ACTUATOR, REST_POSE, TOOL_CENTER_POINT

EPISODES = 50


def drawn(seed: int) -> DemonstrationStyle:
    return draw_style(np.random.default_rng(seed))


@pytest.fixture(scope="module")
def world():
    return World(sample_scene(STANDARD, 0))


def play(world: World, expert: Expert, until: float) -> TaskMonitor:
    """Drive the servos along the target until a time (s); the world must be freshly reset."""
    monitor = TaskMonitor(world)
    for tick in range(round(until * 100)):
        world.goal = expert.target(tick / 100)
        world.step(5)
        if tick % 10 == 0:
            monitor.update()
    return monitor


@given(st.floats(-1.5, 1.5), st.floats(0.14, 0.235), st.floats(0.01, 0.06), st.floats(1.2, 1.57), st.floats(-2, 2))
def test_inverse_kinematics_inverts_the_arms_forward_kinematics(azimuth, radius, height, pitch, roll):
    joints = inverse_kinematics(np.array([azimuth, radius, height, pitch, roll, 0.3]))
    pose = forward(joints)
    # gripper_frame is the gripper frame turned by pi about y: its x and z axes point the other way.
    offset = np.array([-TOOL_CENTER_POINT[0], TOOL_CENTER_POINT[1], 0.0])
    on_roll_axis = pose[:3, 3] - pose[:3, :3] @ offset
    expected = PAN_AXIS + radius * np.array([np.cos(azimuth), np.sin(azimuth)])
    np.testing.assert_allclose(on_roll_axis, [*expected, height], atol=1e-9)
    assert np.arcsin(-pose[2, 2]) == pytest.approx(pitch, abs=1e-6)
    assert joints[4] == roll
    assert joints[5] == 0.3


def test_a_grip_out_of_reach_is_refused():
    with pytest.raises(ValueError, match=r"reach is 0.2\d\d m"):
        inverse_kinematics(np.array([0.0, 0.45, 0.05, 1.5, 0.0, 0.0]))


@pytest.mark.parametrize("distribution", [STANDARD, HARD])
def test_the_jaws_close_across_the_handle(distribution):
    for seed in range(40):
        scene = sample_scene(distribution, seed)
        closed, around = grasp_poses(scene)
        pose = forward(inverse_kinematics(closed.as_array()))
        jaws = -pose[:2, 0]
        tool = np.array([np.cos(scene.tool_yaw), np.sin(scene.tool_yaw)])
        assert jaws @ tool == pytest.approx(0, abs=1e-6)
        # The inner face of the fixed jaw, at the tool center, touches the handle: 9 mm from its middle.
        np.testing.assert_allclose((np.array(scene.tool_position) - pose[:2, 3]) @ jaws, 0.009, atol=1e-6)
        assert around.gripper > closed.gripper == GRIP


def check_limits(expert: Expert, speed: float, acceleration: float) -> None:
    """Targets keep to the arm's position limits, and to ``speed`` (rad/s) and ``acceleration`` (rad/s²)."""
    lower, upper = position_limits()
    targets = np.array([expert.target(time) for time in np.arange(0, expert.duration, 0.01)])
    assert (targets >= lower).all()
    assert (targets <= upper).all()
    velocity = np.diff(targets, axis=0) * 100
    assert np.abs(velocity).max() < speed
    assert np.abs(np.diff(velocity, axis=0)).max() * 100 < acceleration


def test_targets_stay_within_the_limits_and_are_smooth():
    for seed in range(100):
        check_limits(Expert(sample_scene(STANDARD, seed)), 3.0, 20.0)


@pytest.mark.parametrize("distribution", [STANDARD, HARD, SHIFTED])
def test_every_manner_stays_within_the_limits_and_is_smooth(distribution):
    for seed in range(80):
        check_limits(Expert(sample_scene(distribution, seed), drawn(seed)), 3.6, 30.0)


seeds = st.integers(0, 2**31)
small = st.floats(-1e-3, 1e-3)


def turned(scene: Scene, turn: float) -> Scene:
    """The tool turned ``turn`` (rad) away from lying across the arm with its tip to the left."""
    x, y = np.array(scene.tool_position) - PAN_AXIS
    return replace(scene, tool_yaw=float(np.arctan2(y, x) + np.pi / 2 + turn))


@given(seeds, seeds, small, small, small)
def test_a_manner_grasps_continuously_away_from_its_own_turning_point(seed, way, across, along, turn):
    scene, style = sample_scene(HARD, seed), drawn(way)
    x, y = scene.tool_position
    nearby = replace(scene, tool_position=(x + across, y + along), tool_yaw=scene.tool_yaw + turn)
    before, after = (grasp_poses(each, style)[1] for each in (scene, nearby))
    change = np.abs(after.as_array() - before.as_array())
    x, y = np.array(scene.tool_position) - PAN_AXIS
    away = (scene.tool_yaw - np.arctan2(y, x) - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    if abs(abs(away) - style.turn_limit) > 0.05:
        assert change.max() < 0.03


@given(seeds, seeds, st.floats(-np.pi / 2 + TURN_BAND, np.pi / 2 - TURN_BAND))
def test_the_jaws_do_not_care_which_end_the_tip_is_at_outside_the_band(seed, way, turn):
    scene, style = sample_scene(STANDARD, seed), replace(drawn(way), grasp_shift=0.0)
    there, back = (grasp_poses(turned(scene, angle), style)[0].as_array() for angle in (turn, turn + np.pi))
    np.testing.assert_allclose(there, back, atol=1e-9)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("within", "share"), [(-1.1, 0), (-0.5, 0.25), (0, 0.5), (0.5, 0.75), (1.1, 1)])
def test_in_the_band_both_sides_are_shown(sign, within, share):
    scene = turned(sample_scene(STANDARD, 3), sign * (np.pi / 2 + within * TURN_BAND))
    rolls = np.array([grasp_poses(scene, drawn(way))[0].roll for way in range(400)])
    other_side = np.sign(rolls) != sign
    if share in (0, 1):
        assert (other_side == share).all()
    else:
        assert binomtest(int(other_side.sum()), 400, share).pvalue > 1e-3


@given(seeds, seeds)
def test_the_tool_is_put_into_the_middle_of_the_box_however_it_is_held(seed, way):
    scene, style = sample_scene(SHIFTED, seed), replace(drawn(way), place_shift=(0.0, 0.0))
    held, placed = grasp_poses(scene, style)[0], place_pose(scene, style)
    tool = np.append(np.array([np.cos(scene.tool_yaw), np.sin(scene.tool_yaw)]), 0.0)
    middle = np.append(scene.tool_position, 0.0) + sum(scene.tool_ends) / 2 * tool
    before, after = (forward(inverse_kinematics(grip.as_array())) for grip in (held, placed))
    moved = after @ np.linalg.inv(before) @ np.append(middle, 1.0)
    np.testing.assert_allclose(moved[:2], scene.box_position, atol=1e-6)


def test_the_target_holds_before_and_after_its_time():
    expert = Expert(sample_scene(STANDARD, 1))
    np.testing.assert_array_equal(expert.target(-1.0), expert.target(0.0))
    np.testing.assert_array_equal(expert.target(99.0), expert.target(expert.duration))
    sag = gravity_torque(np.array([REST_POSE]))[0] / ACTUATOR.position_gain
    np.testing.assert_allclose(expert.target(99.0), REST_POSE + sag, atol=1e-6)


def test_the_lead_brings_the_arm_to_the_grasp(world):
    """Without it, 17.8 N·m/rad would leave the jaws millimeters off the handle."""
    scene = sample_scene(STANDARD, 3)
    world.reset(scene)
    expert = Expert(scene)
    play(world, expert, 2.5)  # the end of the descent
    around = grasp_poses(scene)[1]
    reached, wanted = forward(world.position), forward(inverse_kinematics(around.as_array()))
    assert np.linalg.norm(reached[:3, 3] - wanted[:3, 3]) < 0.003


@pytest.mark.parametrize("distribution", [STANDARD, HARD])
def test_it_succeeds(world, distribution):
    outcomes = []
    for seed in range(EPISODES):
        scene = sample_scene(distribution, seed)
        world.reset(scene)
        expert = Expert(scene, PLAIN if seed % 2 else drawn(seed))
        outcomes.append(play(world, expert, expert.duration).outcome())
    assert outcomes.count("success") >= 0.98 * EPISODES, outcomes


def test_other_screwdrivers_are_handled_too(world):
    for seed in range(4):
        scene = sample_scene(SHIFTED, seed)
        world.reset(scene)
        expert = Expert(scene)
        assert play(world, expert, expert.duration).outcome() == "success"


def test_a_missed_attempt_shows_and_is_made_again(world):
    scene = sample_scene(HARD, 8)
    world.reset(scene)
    before = world.object_poses()["tool"][0]
    expert = Expert(scene, replace(PLAIN, miss=0.05))
    opening = next(time for time in np.arange(0, expert.duration, 0.01) if expert.segment(time).name == "open again")
    play(world, expert, opening)
    assert np.degrees(world.position[5]) < 0, "closed further than a handle would allow"
    assert np.linalg.norm(world.object_poses()["tool"][0] - before) < 1e-3
    world.reset(scene)
    assert play(world, expert, expert.duration).outcome() == "success"


@pytest.mark.parametrize(("shaking", "seconds", "slip"), [(0.0, 10, 0.001), (0.08, 3, 0.004)])
def test_a_grasp_holds_still_and_under_shaking(world, shaking, seconds, slip):
    scene = sample_scene(STANDARD, 6)
    world.reset(scene)
    expert = Expert(scene)
    lifted = 4.3
    play(world, expert, lifted)
    assert expert.segment(lifted).name == "carry"
    hold = expert.target(lifted)

    def handle_in_gripper() -> np.ndarray:
        pose = forward(world.position)
        return pose[:3, :3].T @ (world.object_poses()["tool"][0] - pose[:3, 3])

    before = handle_in_gripper()
    for tick in range(seconds * 100):
        shake = shaking * np.sin(2 * np.pi * 1.5 * tick / 100)
        world.goal = hold + np.array([shake, shake / 2, 0, shake, shake, 0])
        world.step(5)
    assert task_state(world).tool_height > 0.05
    assert np.linalg.norm(handle_in_gripper() - before) < slip


def test_a_moved_tool_is_missed(world):
    """The expert acts on the scene that it was told, so a lie must fail: the success test is not blind."""
    scene = sample_scene(STANDARD, 2)
    world.reset(scene)
    x, y = scene.tool_position
    expert = Expert(replace(scene, tool_position=(x - 0.05, y + 0.03)))
    assert play(world, expert, expert.duration).outcome() in ("missed", "dropped")
