"""The twin at work: time, calls between steps, scene resets, LeRobot's arms on it, its cameras."""

import threading
import time

import numpy as np
import pytest
from support.lerobot_arms import follower, leader, motors_bus

from prana_ros.simulation.scene import STANDARD, sample_scene
from prana_ros.simulation.twin import PATIENCE, Twin, measure_real_time_factor
from prana_ros.simulation.twin_cameras import TwinCameras
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.model import REST_POSE
from prana_ros.so101.units import lerobot_to_radians

pytestmark = pytest.mark.usefixtures("measures_time")

SIZE = (64, 48)


@pytest.fixture
def world():
    return World(sample_scene(STANDARD, 3), camera_size=SIZE)


def wait_until(condition, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("factor", [1.0, 0.25])
@pytest.mark.parametrize("step_seconds", [0.0, 0.02])
def test_time_that_is_not_simulated_is_counted_as_lost(world, monkeypatch, factor, step_seconds):
    """However slow a step is: simulated time and lost time make up the time that has passed."""
    step = world.step
    monkeypatch.setattr(world, "step", lambda: (step(), time.sleep(step_seconds)))
    with Twin(world, [None], factor) as twin:
        start, simulated, lost = time.monotonic_ns(), twin.sim_time_ns, twin.lost_seconds
        time.sleep(1.0)
        elapsed = twin.call(lambda: (time.monotonic_ns() - start) * factor)
        accounted = twin.sim_time_ns - simulated + (twin.lost_seconds - lost) * 1e9
        # A step that was begun, and what may be late without being given up.
        assert abs(elapsed - accounted) * 1e-9 < (PATIENCE + 0.03) * max(factor, 1.0)
        if step_seconds > 0.002 / factor:
            assert twin.lost_seconds > 0.5 * (1.0 - 0.002 / factor / step_seconds) * factor


def test_simulated_time_goes_on_through_a_reset(world):
    with Twin(world, [None]) as twin:
        wait_until(lambda: twin.sim_time_ns > 20_000_000)
        before = twin.sim_time_ns
        twin.reset_scene(sample_scene(STANDARD, 4))
        assert twin.sim_time_ns >= before
        assert world.scene.seed == 4


def test_calls_are_made_by_the_thread_that_steps_and_hand_back_errors(world):
    with Twin(world, [None]) as twin:
        assert twin.call(threading.current_thread).name == "twin physics"
        with pytest.raises(ZeroDivisionError):
            twin.call(lambda: 1 // 0)
        assert twin.call(lambda: 5) == 5
    assert twin.call(lambda: 6) == 6


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_simulation_that_fails_says_so(world, monkeypatch):
    def fail() -> None:
        raise FloatingPointError("unstable")

    with Twin(world, [None]) as twin:
        monkeypatch.setattr(world, "step", fail)
        wait_until(lambda: twin.failure is not None)
        with pytest.raises(RuntimeError, match="unstable"):
            twin.call(lambda: None)


def test_bad_arguments_are_refused(world, tmp_path):
    with pytest.raises(ValueError, match=r"1 arm\(s\), but 2 link\(s\)"):
        Twin(world, [None, None])
    with pytest.raises(ValueError, match="real_time_factor is 0"):
        Twin(world, [None], 0.0)
    with pytest.raises(FileNotFoundError):
        Twin(world, [tmp_path / "none" / "arm"])


def test_lerobots_follower_moves_the_arm_and_its_weight_shows(world, tmp_path):
    with Twin(world, [tmp_path / "arm"]) as twin:
        robot = follower(tmp_path / "arm", tmp_path)
        robot.connect(calibrate=False)
        goal = {"shoulder_pan.pos": 30.0, "shoulder_lift.pos": 0.0, "elbow_flex.pos": 0.0, "wrist_flex.pos": 0.0,
                "wrist_roll.pos": -45.0, "gripper.pos": 60.0}  # fmt: skip
        angles = lerobot_to_radians(list(goal.values()))
        robot.send_action(goal)
        # The arm sags by its weight over the servo's stiffness.
        wait_until(lambda: np.abs(world.position - angles).max() < 0.1 and np.abs(world.velocity).max() < 0.05)
        seen = robot.get_observation()
        assert np.abs(lerobot_to_radians(list(seen.values())) - world.position).max() < 0.01
        load = robot.bus.sync_read("Present_Load")
        assert load["shoulder_lift"] < -50, "the stretched arm hangs on its shoulder"
        assert abs(load["wrist_roll"]) < 50
        robot.disconnect()
        assert not twin.buses[0].servos[0].driving


def test_the_gripper_is_half_as_strong_once_lerobot_has_configured_it(world, tmp_path):
    with Twin(world, [tmp_path / "arm"]):
        robot = follower(tmp_path / "arm", tmp_path)
        robot.connect(calibrate=False)
        wait_until(lambda: world.arms[0].torque_limit.tolist() == [1, 1, 1, 1, 1, 0.5])
        robot.disconnect()


def test_a_leader_moves_a_follower(tmp_path):
    world = World(sample_scene(STANDARD, 3), arms=2)
    with Twin(world, [tmp_path / "arm", tmp_path / "leader"]):
        robot, teacher = follower(tmp_path / "arm", tmp_path), leader(tmp_path / "leader", tmp_path)
        robot.connect(calibrate=False)
        teacher.connect(calibrate=False)
        assert not world.arms[1].torque_enabled.any(), "a leader is moved by hand"
        teacher.bus.enable_torque()
        teacher.bus.sync_write("Goal_Position", {"shoulder_pan": -25.0, "wrist_roll": 50.0}, normalize=True)

        def follows() -> bool:
            robot.send_action(teacher.get_action())
            return np.abs(world.arms[0].position - world.arms[1].position).max() < 0.05 and (
                abs(world.arms[0].position[0] + np.radians(25)) < 0.05
            )

        wait_until(follows)
        teacher.disconnect()
        robot.disconnect()


def test_a_reset_puts_a_limp_arm_to_rest(world):
    with Twin(world, [None]) as twin:
        wait_until(lambda: not world.arms[0].torque_enabled.any())
        pushed = np.array([0.8, *REST_POSE[1:]])

        def push() -> None:
            world.arms[0].park(pushed)
            twin.buses[0].place()

        twin.call(push)
        assert twin.reset_scene(sample_scene(STANDARD, 8))
        assert np.abs(twin.call(lambda: world.position) - REST_POSE).max() < 0.05
        wait_until(lambda: not world.arms[0].torque_enabled.any())


def test_a_reset_leaves_an_arm_under_torque_where_it_is(world, tmp_path):
    with Twin(world, [tmp_path / "arm"]) as twin:
        bus = motors_bus(tmp_path / "arm")
        bus.connect()
        bus.sync_write("Goal_Position", bus.sync_read("Present_Position"))
        bus.enable_torque()
        bus.write("Goal_Position", "shoulder_pan", 40.0)
        wait_until(lambda: abs(world.position[0] - np.radians(40.0)) < 0.02)
        assert not twin.reset_scene(sample_scene(STANDARD, 8))
        assert abs(twin.call(lambda: world.position)[0] - np.radians(40.0)) < 0.03
        tool, _ = world.object_poses()["tool"]
        assert tool[:2] == pytest.approx(sample_scene(STANDARD, 8).tool_position, abs=0.01)
        bus.disconnect()


class Recorder:
    """Collects frames; ``pause`` seconds pass over each."""

    def __init__(self, pause: float = 0.0) -> None:
        self.frames: list[tuple[str, np.ndarray, int]] = []
        self._pause = pause

    def __call__(self, camera: str, image: np.ndarray, stamp_ns: int) -> None:
        self.frames.append((camera, image.copy(), stamp_ns))
        time.sleep(self._pause)


def points(stamps: list[int], fps: int) -> np.ndarray:
    """Which grid point each stamp is; fails if one is beside the grid."""
    numbers = [round(stamp * fps / 1e9) for stamp in stamps]
    assert [number * 10**9 // fps for number in numbers] == stamps
    return np.array(numbers)


@pytest.mark.parametrize("pause", [0.0, 0.12])
def test_stamps_are_on_the_grid_and_what_comes_too_late_is_left_out(world, pause):
    fps, recorder = 30, Recorder(pause)
    with Twin(world, [None]) as twin:
        cameras = TwinCameras(twin, fps, lambda sim, _due: sim, recorder)
        cameras.start()
        wait_until(lambda: len(recorder.frames) >= 12)
        cameras.stop()
    names = [camera for camera, _, _ in recorder.frames]
    assert names == list(CAMERAS) * (len(names) // 2)
    numbers = points([stamp for _, _, stamp in recorder.frames], fps)
    assert (numbers[::2] == numbers[1::2]).all(), "both cameras look at the same moment"
    gaps = np.diff(numbers[::2])
    assert (gaps >= 1).all()
    assert cameras.skipped >= (gaps - 1).sum()
    if pause:
        assert gaps.max() > 1


def test_an_image_shows_the_moment_of_its_stamp(world, tmp_path):
    """The arm turns all the time; each image is the one that a renderer makes of the state at the stamp."""
    recorder, states = Recorder(), {}
    with Twin(world, [None]) as twin:
        cameras = TwinCameras(twin, 25, lambda sim, _due: sim, recorder)
        twin.add_observer(lambda sim, _due: states.setdefault(sim, world.snapshot()))
        start = twin.sim_time_ns
        for servo in twin.buses[0].servos:
            servo.write(40, b"\x01")
        twin.buses[0].servos[0].write(42, (2900).to_bytes(2, "little"))
        cameras.start()
        wait_until(lambda: len(recorder.frames) >= 6)
        cameras.stop()
    assert start < recorder.frames[0][2]
    images = [image for camera, image, _ in recorder.frames if camera == "table"]
    assert (images[0] != images[-1]).any()
    for camera, image, stamp_ns in recorder.frames:
        assert (image == world.render(camera, states[stamp_ns])).all()
    world.close()


def test_a_clock_that_is_set_back_does_not_stop_the_cameras(world):
    offset = [10**12]
    recorder = Recorder()
    with Twin(world, [None]) as twin:
        cameras = TwinCameras(twin, 50, lambda sim, _due: sim + offset[0], recorder)
        cameras.start()
        wait_until(lambda: len(recorder.frames) >= 4)
        offset[0] = 0
        count = len(recorder.frames)
        wait_until(lambda: len(recorder.frames) >= count + 6)
        cameras.stop()
    assert recorder.frames[-1][2] < 10**12


def test_cameras_that_cannot_draw_say_what_is_missing(world, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("no display")

    monkeypatch.setattr(world, "render", fail)
    with Twin(world, [None]) as twin, pytest.raises(RuntimeError, match=r"no display.*libegl1"):
        TwinCameras(twin, 30, lambda sim, _due: sim, Recorder()).start()


def test_the_measured_factor_counts_physics_and_images(monkeypatch):
    scene = sample_scene(STANDARD, 0)
    passed = [0.0]
    monkeypatch.setattr("prana_ros.simulation.twin.time.perf_counter", lambda: passed[0])
    monkeypatch.setattr(World, "step", lambda self: passed.__setitem__(0, passed[0] + 0.001))
    monkeypatch.setattr(World, "render", lambda self, camera: passed.__setitem__(0, passed[0] + 0.01))
    # A second takes 500 steps of 1 ms and 2 x 25 images of 10 ms.
    assert measure_real_time_factor(scene, SIZE, camera_fps=25, duration=0.4) == pytest.approx(1.0)
    assert measure_real_time_factor(scene, SIZE, camera_fps=0, duration=0.4) == pytest.approx(2.0)
