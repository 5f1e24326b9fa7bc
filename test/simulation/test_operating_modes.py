"""The operating modes beside that of positions: of one servo, and on the arm in MuJoCo in simulated time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.servos import COUNT, STALL, STEP, new_servo, stand, write

from prana_ros.simulation import registers as r
from prana_ros.simulation.registers import ErrorBits, OperatingMode
from prana_ros.simulation.scene import sample_scene, scene_distribution
from prana_ros.simulation.servo import Servo
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.simulation.world import World
from prana_ros.so101.model import ACTUATOR

ROLL = 4
angles = st.floats(-3.0, 3.0)


def in_mode(mode: OperatingMode) -> Servo:
    servo = new_servo(2048.0)
    write(servo, r.OPERATING_MODE, mode)
    write(servo, r.TORQUE_ENABLE, 1)
    return servo


def follow(servo: Servo, seconds: float, angle: float = 0.0) -> np.ndarray:
    """The angles of a joint that goes wherever its servo pulls."""
    angles = [angle]
    for _ in range(round(seconds / STEP)):
        servo.update(angles[-1], 0.0, 0.0, STEP)
        angles.append(servo.target)
    return np.array(angles)


@given(velocity=st.integers(-3000, 3000), acceleration=st.sampled_from([0, 5, 50, 254]))
def test_velocity_mode_turns_at_the_goal_velocity_past_every_limit(velocity, acceleration):
    servo = in_mode(OperatingMode.VELOCITY)
    write(servo, r.MAX_POSITION, 2100)
    write(servo, r.ACCELERATION, acceleration)
    write(servo, r.GOAL_VELOCITY, velocity)
    speed = np.diff(follow(servo, 8.0)) / STEP / COUNT
    assert speed[-1] == pytest.approx(velocity)
    if 0 < acceleration < 254:
        assert np.abs(np.diff(speed, prepend=0.0)).max() / STEP <= acceleration * 100 * (1 + 1e-6)
    write(servo, r.GOAL_VELOCITY, 0)
    assert np.diff(follow(servo, 8.0, servo.target))[-1] == 0.0


def test_velocity_mode_holds_on_to_a_blocked_joint_with_all_its_torque_and_no_more():
    servo = in_mode(OperatingMode.VELOCITY)
    write(servo, r.GOAL_VELOCITY, -1000)
    stand(servo, 0.2, seconds=5.0)
    assert (servo.target - 0.2) * ACTUATOR.position_gain == pytest.approx(-STALL)
    write(servo, r.GOAL_VELOCITY, 1000)
    stand(servo, 0.2, seconds=0.5)
    assert servo.target > 0.2


@given(pwm=st.integers(-1000, 1000), limit=st.integers(0, 1000), angle=angles)
def test_pwm_mode_pulls_with_its_part_of_the_torque(pwm, limit, angle):
    servo = in_mode(OperatingMode.PWM)
    write(servo, r.TORQUE_LIMIT, limit)
    write(servo, r.GOAL_PWM, pwm)
    stand(servo, angle)
    assert servo.driving
    assert servo.torque_fraction == min(abs(pwm), limit) / 1000
    assert (servo.target - angle) * ACTUATOR.position_gain * np.sign(pwm or 1) > STALL


@given(steps=st.lists(st.integers(-3000, 3000), min_size=1, max_size=4))
def test_step_mode_adds_up_what_it_is_sent(steps):
    servo = in_mode(OperatingMode.STEP)
    angle = 0.3
    servo.update(angle, 0.0, 0.0, STEP)
    write(servo, r.TORQUE_ENABLE, 1)
    for step in steps:
        write(servo, r.GOAL_POSITION, step)
        write(servo, r.TORQUE_LIMIT, 900)
        angle = follow(servo, 0.1, angle)[-1]
    assert angle == pytest.approx(0.3 + sum(steps) * COUNT)


@pytest.mark.parametrize("mode", [OperatingMode.VELOCITY, OperatingMode.PWM, OperatingMode.STEP])
def test_a_change_of_the_operating_mode_stops_the_joint_where_it_is(mode):
    servo = in_mode(mode)
    write(servo, r.GOAL_VELOCITY, 1000)
    write(servo, r.GOAL_PWM, 500)
    write(servo, r.GOAL_POSITION, 700)
    seen = follow(servo, 0.5)[-2]
    assert seen > 0.0
    write(servo, r.OPERATING_MODE, OperatingMode.POSITION)
    assert servo.driving
    assert follow(servo, 0.5, seen)[-1] == seen


def test_an_unknown_operating_mode_does_not_drive():
    servo = in_mode(OperatingMode.POSITION)
    write(servo, r.OPERATING_MODE, 7)
    assert not servo.driving


@pytest.mark.parametrize(
    ("mode", "register"), [(OperatingMode.VELOCITY, r.GOAL_VELOCITY), (OperatingMode.PWM, r.GOAL_PWM)]
)
def test_a_command_away_from_the_load_releases_the_overload_in_modes_without_places(mode, register):
    servo = in_mode(mode)
    write(servo, register, 900)
    stand(servo, 0.0, 0.9 * STALL, seconds=2.1)
    assert servo.errors == ErrorBits.OVERLOAD
    write(servo, register, 800)
    assert servo.errors == ErrorBits.OVERLOAD
    write(servo, register, -800)
    assert servo.errors == 0


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
