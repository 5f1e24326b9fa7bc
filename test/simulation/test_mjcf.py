"""The twin's arm against the arm's own kinematics and against closed forms of mechanics."""

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.simulation.expert import gravity_torque
from prana_ros.simulation.mjcf import SECOND_ARM, SECOND_ARM_POSITION, build_mjcf
from prana_ros.so101.kinematics import forward, link_frames, position_limits
from prana_ros.so101.model import ACTUATOR, JOINT_NAMES, JOINTS, LINKS

LOWER, UPPER = position_limits()
GRAVITY = 9.81


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(build_mjcf())


def angles():
    return st.tuples(*(st.floats(low, high) for low, high in zip(LOWER, UPPER, strict=True))).map(np.array)


def posed(model: mujoco.MjModel, q: np.ndarray, prefix: str = "") -> mujoco.MjData:
    data = mujoco.MjData(model)
    for name, angle in zip(JOINT_NAMES, q, strict=True):
        data.joint(prefix + name).qpos = angle
    mujoco.mj_forward(model, data)
    return data


@given(angles())
def test_the_tool_centre_is_where_the_kinematics_say(model, q):
    site = posed(model, q).site("gripper_frame")
    expected = forward(q)
    np.testing.assert_allclose(site.xpos, expected[:3, 3], atol=1e-6)
    np.testing.assert_allclose(site.xmat.reshape(3, 3), expected[:3, :3], atol=1e-6)


@given(angles())
def test_every_link_is_where_the_kinematics_say(model, q):
    data, frames = posed(model, q), link_frames(q)
    for link in LINKS:
        np.testing.assert_allclose(data.body(link.name).xpos, frames[link.name][:3, 3], atol=1e-6)
        np.testing.assert_allclose(data.body(link.name).xmat.reshape(3, 3), frames[link.name][:3, :3], atol=1e-6)


def potential_energy(q: np.ndarray) -> float:
    """From the table of figures, without MuJoCo. The jaw's center of mass is listed in the gripper frame at angle 0."""
    frames, energy = link_frames(q), 0.0
    jaw_origin = np.array(JOINTS[-1].origin)
    for link in LINKS:
        center = np.array(link.center_of_mass) - (jaw_origin if link.name == "jaw" else 0)
        if link.name == "jaw":
            zero = link_frames(np.zeros(6))
            center = (np.linalg.inv(zero["jaw"]) @ zero["gripper"])[:3, :3] @ center
        energy += link.mass * GRAVITY * (frames[link.name][:3, :3] @ center + frames[link.name][:3, 3])[2]
    return energy


@given(angles())
def test_gravity_torque_is_the_gradient_of_the_potential_energy(q):
    step = 1e-5
    gradient = [(potential_energy(q + step * e) - potential_energy(q - step * e)) / (2 * step) for e in np.eye(6)]
    np.testing.assert_allclose(gravity_torque(q[None])[0], gradient, atol=1e-6)


def test_masses_limits_and_actuators_are_those_of_the_table(model):
    for link in LINKS:
        assert model.body(link.name).mass == pytest.approx(link.mass)
    for joint in JOINTS:
        np.testing.assert_allclose(model.joint(joint.name).range, (joint.lower, joint.upper))
        assert model.joint(joint.name).armature == ACTUATOR.armature
    assert model.body("tool").mass == pytest.approx(0.060)


def test_a_falling_tool_obeys_galilei(model):
    data = mujoco.MjData(model)
    data.joint("tool").qpos[:] = (0.3, 0.3, 0.4, 1, 0, 0, 0)
    mujoco.mj_step(model, data, nstep=100)
    time = data.time
    # Semi-implicit steps fall g t dt / 2 further than the continuous motion.
    fallen = 0.4 - GRAVITY * time * (time + model.opt.timestep) / 2
    assert data.joint("tool").qpos[2] == pytest.approx(fallen, abs=1e-4)


def test_the_second_arm_stands_beside_the_first():
    model = mujoco.MjModel.from_xml_string(build_mjcf(arms=2))
    q = np.array([0.3, -0.4, 0.5, 0.6, -0.2, 0.1])
    site = posed(model, q, SECOND_ARM).site(SECOND_ARM + "gripper_frame")
    np.testing.assert_allclose(site.xpos, forward(q)[:3, 3] + SECOND_ARM_POSITION, atol=1e-6)


def test_other_numbers_of_arms_are_refused():
    with pytest.raises(ValueError, match="1 or 2 arms, not 3"):
        build_mjcf(arms=3)
