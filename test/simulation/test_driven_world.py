"""What reaches the servos of a twin that is run without a serial port is what the driver would send them."""

from types import SimpleNamespace

import numpy as np
import pytest

from prana_ros.simulation.driven_world import TICK_NS, TICKS, DrivenWorld
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import STANDARD, sample_scene
from prana_ros.simulation.world import World
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.driver import ArmDriver
from prana_ros.so101.model import ACTUATOR, JOINT_NAMES
from prana_ros.so101.servo_settings import GRIPPER_OVERLOAD
from prana_ros.so101.trajectory import Trajectory


@pytest.mark.parametrize("seed", range(3))
def test_goals_are_the_drivers_own_however_a_plan_jumps(seed):
    rng = np.random.default_rng(seed)
    driver = ArmDriver(SimpleNamespace(calibration=twin_calibration()))._motion
    scene = sample_scene(STANDARD, seed)
    with World(scene) as world:
        driven = DrivenWorld(world, scene)
        driver.start_from(world.goal)
        for tick in range(90):
            if tick % 30 == 0:
                chunk = rng.uniform(-3, 3, (5, 6))
                plan = Trajectory("test", driven.now_ns, JOINT_NAMES, np.arange(5) / 10, chunk)
                driven.motion.accept(plan, driven.now_ns)
                driver.accept(plan, driven.now_ns)
            load = world.torque / ACTUATOR.torque_limit
            felt = SimpleNamespace(position=world.position, load=load, error_bits=np.zeros(6, int))
            expected = driver.goals(driven.now_ns, felt)
            driven.step()
            np.testing.assert_array_equal(world.goal, expected)
        assert driven.motion.limited > 30, "a plan that jumps is held back"


def test_time_passes_in_ticks_of_the_servo_rate():
    scene = sample_scene(STANDARD, 0)
    with World(scene) as world:
        driven = DrivenWorld(world, scene)
        begin = driven.now_ns
        for _ in range(50):
            driven.step()
        assert driven.elapsed == pytest.approx(50 / TICKS)
        assert driven.now_ns - begin == 50 * TICK_NS


def test_a_grip_that_is_too_hard_is_eased_and_still_holds():
    scene = sample_scene(STANDARD, 5)
    expert = Expert(scene)
    with World(scene) as world:
        driven = DrivenWorld(world, scene)
        while expert.segment(driven.tick / TICKS).name != "lift":
            driven.motion.aim(expert.target(driven.tick / TICKS))
            driven.step()
        grasped, loads = expert.target(driven.tick / TICKS), []
        for _ in range(2 * TICKS):
            driven.motion.aim(np.append(grasped[:5], np.radians(-10)))
            driven.step()
            loads.append(abs(world.torque[5]) / ACTUATOR.torque_limit)
        assert max(loads[:TICKS]) > 1.5 * GRIPPER_OVERLOAD
        assert 0.1 < loads[-1] < GRIPPER_OVERLOAD
        assert world.tool_touches_arm()
