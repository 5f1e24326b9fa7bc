"""The hand that moves an arm without torque, in simulated time."""

import numpy as np
import pytest
from support.kinematic_plant import STEP, KinematicPlant

from prana_ros.simulation import hand
from prana_ros.simulation import registers as r
from prana_ros.simulation.hand import COLUMNS, MIDDLE, Hand, HandError, HandPath, hand_path
from prana_ros.simulation.scene import sample_scene, scene_distribution
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.simulation.world import World
from prana_ros.so101.model import JOINTS


@pytest.fixture
def bus():
    with ServoBus(KinematicPlant()) as bus:
        yield bus


def let_pass(bus: ServoBus, seconds: float) -> np.ndarray:
    positions = [bus.plant.position]
    for _ in range(round(seconds / STEP)):
        bus.update(STEP)
        bus.plant.step()
        positions.append(bus.plant.position)
    return np.array(positions)


def write(bus: ServoBus, joint: int, register: r.Register, value: int) -> None:
    bus.servos[joint].write(register.address, r.encode(register, value))


def test_the_sweep_takes_every_joint_of_the_arm_to_both_ends():
    world = World(sample_scene(scene_distribution("standard"), 0))
    (arm,) = world.arms
    path = hand_path("sweep")
    positions = []
    with ServoBus(arm) as bus:
        bus.hand = Hand(path)
        for _ in range(round((path.seconds[-1] + 3.0) / world.timestep)):
            bus.update(world.timestep)
            world.step()
            positions.append(arm.position)
        assert all(servo.errors == 0 and servo.temperature == pytest.approx(25.0) for servo in bus.servos)
    lowest, highest = np.min(positions, axis=0), np.max(positions, axis=0)
    assert lowest == pytest.approx([joint.lower for joint in JOINTS], abs=0.012)
    assert highest == pytest.approx([joint.upper for joint in JOINTS], abs=0.012)


def test_the_middle_is_held_against_the_arms_weight():
    world = World(sample_scene(scene_distribution("standard"), 0))
    (arm,) = world.arms
    with ServoBus(arm) as bus:
        bus.hand = Hand(hand_path("middle"))
        for _ in range(round(8.0 / world.timestep)):
            bus.update(world.timestep)
            world.step()
    assert arm.position == pytest.approx(MIDDLE, abs=0.002)


def test_the_hand_leaves_joints_with_torque_alone_and_is_no_load_of_the_others(bus):
    bus.plant.torque = np.full(6, 1.0)
    write(bus, 2, r.TORQUE_ENABLE, 1)
    bus.hand = Hand(HandPath(np.zeros(1), np.full((1, 6), 0.5)))
    positions = let_pass(bus, 2.0)
    assert positions[-1] == pytest.approx([0.5, 0.5, 0.0, 0.5, 0.5, 0.5], abs=0.001)
    assert np.abs(np.diff(positions, axis=0)).max() / STEP < 1.2 * hand.SPEED
    assert bus.servos[0].get(r.PRESENT_LOAD) == 0
    assert bus.servos[2].get(r.PRESENT_LOAD) > 0
    write(bus, 0, r.TORQUE_ENABLE, 1)
    write(bus, 0, r.GOAL_POSITION, 2047)
    assert let_pass(bus, 2.0)[-1][0] == pytest.approx(0.0, abs=0.002)


def test_without_the_hand_the_joints_are_free_again(bus):
    bus.hand = Hand(hand_path("middle"))
    let_pass(bus, 0.1)
    bus.hand = None
    let_pass(bus, STEP)
    assert not bus.plant.torque_enabled.any()


def test_a_file_is_played_once_from_its_beginning_when_the_torque_goes(bus, tmp_path):
    file = tmp_path / "path.csv"
    file.write_text(",".join(COLUMNS) + "\n5,0.4,0,0,0,0,0\n6,-0.4,0,0,0,0,0.3\n")
    bus.hand = Hand(hand_path(str(file)))
    every_joint = range(6)
    for joint in every_joint:
        write(bus, joint, r.TORQUE_ENABLE, 1)
    let_pass(bus, 4.0)
    for joint in every_joint:
        write(bus, joint, r.TORQUE_ENABLE, 0)
    positions = let_pass(bus, 4.0)
    assert positions[:, 0].max() == pytest.approx(0.4, abs=0.01)
    assert positions[-1] == pytest.approx([-0.4, 0, 0, 0, 0, 0.3], abs=0.001)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "needs rows of 7 numbers"),
        ("a,b\n1,2\n", "needs rows of 7 numbers"),
        (",".join(COLUMNS) + "\n", "seconds must increase"),
        (",".join(COLUMNS) + "\n0,0,0,0,0,0,0\n0,0,0,0,0,0,0\n", "seconds must increase"),
        (",".join(COLUMNS) + "\n0,0,0,nan,0,0,0\n", "all finite"),
        ("t,a,b,c,d,e,f\n0,0,0,0,0,0,0\n", r"first line of .* is 't,a,b,c,d,e,f'; it must be 'seconds,shoulder_pan"),
    ],
)
def test_a_file_that_is_no_path_is_refused(tmp_path, content, sentence):
    file = tmp_path / "path.csv"
    file.write_text(content)
    with pytest.raises(HandError, match=sentence):
        hand_path(str(file))
