"""The world: servo law, clocks, images, resets."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from prana_ros.simulation.expert import gravity_torque
from prana_ros.simulation.scene import HARD, STANDARD, sample_scene
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.model import ACTUATOR, GRIPPER_TORQUE_FRACTION, REST_POSE


@pytest.fixture
def world() -> Iterator[World]:
    with World(sample_scene(STANDARD, 0), camera_size=(80, 60)) as world:
        yield world


def test_it_starts_parked_with_torque_on(world):
    np.testing.assert_allclose(world.position, REST_POSE)
    np.testing.assert_allclose(world.goal, REST_POSE)
    assert world.arms[0].torque_enabled.all()
    assert world.arms[0].torque_limit[5] == GRIPPER_TORQUE_FRACTION
    assert world.time == 0


def test_time_counts_steps(world):
    world.step(5)
    world.step()
    assert world.time == pytest.approx(0.012)


def test_torque_is_gain_times_distance_up_to_the_limit(world):
    goal = np.array([0.10, -1.65, 1.55, -0.8, 2.0, 0.5])
    before = world.position
    world.goal = goal
    world.step()
    limit = ACTUATOR.torque_limit * np.array([1, 1, 1, 1, 1, 0.5])
    np.testing.assert_allclose(world.torque, np.clip(17.8 * (goal - before), -limit, limit), rtol=1e-9)


def test_a_held_arm_sags_by_gravity_over_gain(world):
    goal = np.array([0.0, 0.3, -0.3, 0.0, 0.0, 0.0])
    world.goal = goal
    world.step(2000)
    expected = gravity_torque(world.position[None])[0] / 17.8
    # Friction holds the joint anywhere within its own torque of the balance.
    band = ACTUATOR.friction / ACTUATOR.position_gain
    np.testing.assert_allclose(goal - world.position, expected, atol=1.1 * band)
    assert abs(goal - world.position)[1] > 4 * band


def test_a_far_goal_is_approached_at_the_no_load_speed(world):
    world.goal = np.array([1.8, *REST_POSE[1:]])
    fastest = 0.0
    for _ in range(200):
        world.step()
        fastest = max(fastest, world.velocity[0])
    assert fastest == pytest.approx((ACTUATOR.torque_limit - ACTUATOR.friction) / ACTUATOR.damping, rel=0.01)


def test_a_limp_arm_stays_in_the_rest_pose_for_a_while(world):
    world.arms[0].torque_enabled = np.zeros(6, bool)
    world.step(1500)
    assert not world.torque.any()
    np.testing.assert_allclose(world.position, REST_POSE, atol=0.12)


@pytest.mark.parametrize("shift", [-0.03, 0.0, 0.03])
def test_a_limp_arm_lies_on_its_stops_and_its_hand_sinks_until_it_lies_too(world, shift):
    """The hand's weight is a little more than the wrist's friction holds; see REST_POSE."""
    assert abs(gravity_torque(np.array([[0.0, -1.70, 1.69, -1.0, 0.0, 0.0]]))[0, 3]) > ACTUATOR.friction
    arm = world.arms[0]
    arm.park(np.array(REST_POSE) + shift * np.array([1, 1, 1, 1, 1, 0]))
    arm.torque_enabled = np.zeros(6, bool)
    world.step(25_000)
    np.testing.assert_allclose(world.position[[0, 1, 2, 4, 5]], np.array(REST_POSE)[[0, 1, 2, 4, 5]], atol=0.15)
    assert REST_POSE[3] + 1.0 < world.position[3] < REST_POSE[3] + 2.2
    assert np.abs(world.velocity).max() < 0.01


def test_a_limp_raised_arm_falls(world):
    world.goal = np.array([0, 0.3, -0.3, 0, 0, 0])
    world.step(1500)
    world.arms[0].torque_enabled = np.array([False] * 5 + [True])
    world.step(1500)
    assert world.position[1] > 0.6


def test_a_torque_limit_of_zero_is_no_torque(world):
    world.arms[0].torque_limit = np.zeros(6)
    world.goal = np.zeros(6)
    world.step(10)
    assert not world.torque.any()


@pytest.mark.parametrize("goal", [np.full(6, np.nan), np.zeros(5), np.array([0, 0, np.inf, 0, 0, 0])])
def test_goals_that_are_no_angles_are_refused(world, goal):
    with pytest.raises(ValueError, match="6 finite angles"):
        world.goal = goal
    np.testing.assert_allclose(world.goal, REST_POSE)


def test_a_scene_is_laid_out_as_drawn(world):
    for seed in (3, 8):
        scene = sample_scene(HARD, seed)
        world.reset(scene)
        (tool, quaternion), (box, _) = world.object_poses()["tool"], world.object_poses()["box"]
        np.testing.assert_allclose(tool[:2], scene.tool_position)
        np.testing.assert_allclose(box[:2], scene.box_position)
        yaw = 2 * np.arctan2(quaternion[3], quaternion[0])
        assert np.cos(yaw - scene.tool_yaw) == pytest.approx(1)
        world.step(500)
        moved = world.object_poses()["tool"][0] - tool
        assert np.linalg.norm(moved) < 1e-3, "the tool does not roll away"


def test_a_reset_that_keeps_the_arms_moves_only_the_objects(world):
    world.goal = np.array([0.5, -1, 1, 0.3, 0.1, 0.4])
    world.step(300)
    time, position, velocity, goal = world.time, world.position, world.velocity, world.goal
    scene = sample_scene(STANDARD, 7)
    world.reset(scene, keep_arms=True)
    assert world.time == time
    np.testing.assert_array_equal(world.position, position)
    np.testing.assert_array_equal(world.velocity, velocity)
    np.testing.assert_array_equal(world.goal, goal)
    np.testing.assert_allclose(world.object_poses()["tool"][0][:2], scene.tool_position)


def run(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    with World(sample_scene(HARD, seed), camera_size=(80, 60)) as world:
        world.goal = np.array([0.2, -1, 1.2, 0.5, 0.1, 0.4])
        world.step(400)
        return np.append(world.position, world.object_poses()["tool"][0]), [world.render(name) for name in CAMERAS]


def test_a_seed_decides_everything():
    (state, images), (again, images_again), (_, other) = run(5), run(5), run(6)
    np.testing.assert_array_equal(state, again)
    np.testing.assert_array_equal(images, images_again)
    assert (images[0] != other[0]).any()


def test_a_full_reset_forgets_the_last_episode(world):
    scene = sample_scene(STANDARD, 2)
    states = []
    for _ in range(2):
        world.reset(scene)
        world.goal = np.array([0.4, -0.3, 0.9, 1.0, 0.2, 0.6])
        world.step(700)
        states.append(np.concatenate([world.position, world.velocity, world.object_poses()["tool"][0]]))
    np.testing.assert_array_equal(*states)


def test_a_snapshot_is_drawn_as_it_was(world):
    snapshot, now = world.snapshot(), {name: world.render(name) for name in CAMERAS}
    world.goal = np.zeros(6)
    world.step(500)
    for name in CAMERAS:
        assert now[name].shape == (60, 80, 3)
        assert now[name].dtype == np.uint8
        np.testing.assert_array_equal(world.render(name, snapshot), now[name])
        assert (world.render(name) != now[name]).mean() > 0.05


def test_the_table_camera_sees_tool_and_box(world):
    red, green, blue = np.moveaxis(world.render("table").astype(int), -1, 0)
    assert ((red > 120) & (green < 70) & (blue < 70)).sum() > 5, "red handle"
    assert ((blue > red + 40) & (blue > 90)).sum() > 150, "blue box"


def test_unknown_cameras_are_named(world):
    with pytest.raises(ValueError, match=r"'overhead'.*table, wrist"):
        world.render("overhead")


def test_joints_can_be_read_and_set_while_another_thread_steps(world):
    stop = threading.Event()

    def step() -> None:
        while not stop.is_set():
            world.step()

    thread = threading.Thread(target=step)
    thread.start()
    try:
        for index in range(300):
            world.goal = np.array([index / 300, *REST_POSE[1:]])
            assert np.isfinite(world.position).all()
            if index % 50 == 0:
                world.render("table", world.snapshot())
    finally:
        stop.set()
        thread.join()


def test_two_arms_move_independently():
    world = World(sample_scene(STANDARD, 0), arms=2)
    world.arms[1].goal = np.array([0.5, *REST_POSE[1:]])
    world.arms[1].torque_limit = np.array([1, 1, 1, 1, 1, 0.2])
    world.step(1000)
    assert world.arms[1].position[0] == pytest.approx(0.5, abs=0.01)
    assert world.arms[0].position[0] == pytest.approx(0, abs=0.01)
    assert world.arms[0].torque_limit[5] == GRIPPER_TORQUE_FRACTION
