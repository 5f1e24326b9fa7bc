"""The operating modes without places, on the arm in MuJoCo, in simulated time."""

import numpy as np
import pytest

from prana_ros.simulation import registers as r
from prana_ros.simulation.registers import OperatingMode
from prana_ros.simulation.scene import sample_scene, scene_distribution
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.simulation.world import World
from prana_ros.so101.figures import ACTUATOR

ROLL = 4
COUNT = 2.0 * np.pi / 4096.0


@pytest.fixture
def world():
    return World(sample_scene(scene_distribution("standard"), 0))


@pytest.fixture
def bus(world):
    with ServoBus(world.arms[0]) as bus:
        yield bus


def roll(bus: ServoBus, world: World, seconds: float, **registers: int) -> np.ndarray:
    """Write registers of the servo of ``wrist_roll``, let time pass, and return the joint's angles."""
    for name, value in registers.items():
        register = getattr(r, name)
        bus.servos[ROLL].write(register.address, r.encode(register, value))
    angles = []
    for _ in range(round(seconds / world.timestep)):
        bus.update(world.timestep)
        world.step()
        angles.append(bus.plant.position[ROLL])
    return np.array(angles)


@pytest.mark.parametrize("velocity", [600, -400])
def test_velocity_mode_turns_the_wrist_at_its_goal_velocity(bus, world, velocity):
    mode = {"OPERATING_MODE": OperatingMode.VELOCITY, "TORQUE_ENABLE": 1}
    angles = roll(bus, world, 1.0, **mode, GOAL_VELOCITY=velocity)
    speed = (angles[-1] - angles[len(angles) // 2]) / (len(angles) // 2 * world.timestep)
    assert speed == pytest.approx(velocity * COUNT, rel=0.03)
    stopped = roll(bus, world, 0.5, GOAL_VELOCITY=0)
    assert abs(stopped[-1] - stopped[-50]) < COUNT


@pytest.mark.parametrize("pwm", [300, -200])
def test_pwm_mode_turns_the_wrist_at_its_part_of_the_no_load_speed(bus, world, pwm):
    angles = roll(bus, world, 1.0, OPERATING_MODE=OperatingMode.PWM, TORQUE_ENABLE=1, GOAL_PWM=pwm)
    speed = (angles[-1] - angles[len(angles) // 2]) / (len(angles) // 2 * world.timestep)
    torque = abs(pwm) / 1000 * ACTUATOR.torque_limit - ACTUATOR.friction
    assert speed == pytest.approx(np.sign(pwm) * torque / ACTUATOR.damping, rel=0.05)


def test_step_mode_turns_the_wrist_by_the_sum_of_its_steps(bus, world):
    start = roll(bus, world, 0.1, OPERATING_MODE=OperatingMode.STEP, TORQUE_ENABLE=1)[-1]
    roll(bus, world, 1.0, GOAL_POSITION=500)
    end = roll(bus, world, 1.0, GOAL_POSITION=-800)[-1]
    assert end - start == pytest.approx(-300 * COUNT, abs=5 * COUNT)
