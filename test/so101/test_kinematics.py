"""Kinematics and URDF against MuJoCo's own, the published URDF's chain and finite differences."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from functools import cache

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from prana_ros.resources import packaged
from prana_ros.so101 import kinematics
from prana_ros.so101.model import JAW_GAP, JOINT_NAMES, JOINTS, LINKS
from prana_ros.so101.urdf import ROOT_LINK, robot_description

PUBLISHED_CHAIN = (
    ((0.0388353, 0, 0.0624), (np.pi, 0, -np.pi)),
    ((-0.0303992, -0.0182778, -0.0542), (-np.pi / 2, -np.pi / 2, 0)),
    ((-0.11257, -0.028, 0), (0, 0, np.pi / 2)),
    ((-0.1349, 0.0052, 0), (0, 0, -np.pi / 2)),
    ((0, -0.0611, 0.0181), (np.pi / 2, 0.0486795, np.pi)),
)
"""xyz (m) and rpy (rad) of the joints of SO-ARM100's so101_new_calib.urdf; each turns about its local +z."""
PUBLISHED_TOOL = ((-0.0079, -0.0002, -0.0981), (0, np.pi, 0))

LOWER, UPPER = kinematics.position_limits()
angles_within_limits = hnp.arrays(np.float64, 6, elements=st.floats(0, 1)).map(
    lambda part: LOWER + part * (UPPER - LOWER)
)


def transform(xyz, rpy) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = Rotation.from_euler("xyz", rpy).as_matrix()
    result[:3, 3] = xyz
    return result


def published_forward(q: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    for angle, (xyz, rpy) in zip(q, PUBLISHED_CHAIN, strict=False):
        pose = pose @ transform(xyz, rpy) @ transform((0, 0, 0), (0, 0, angle))
    return pose @ transform(*PUBLISHED_TOOL)


@cache
def mujoco_arm() -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The generated URDF as MuJoCo reads it, with its links kept apart."""
    options = '<mujoco><compiler fusestatic="false"/></mujoco></robot>'
    model = mujoco.MjModel.from_xml_string(robot_description().replace("</robot>", options))
    return model, mujoco.MjData(model)


def mujoco_at(q: np.ndarray) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model, data = mujoco_arm()
    assert [model.joint(index).name for index in range(model.njnt)] == list(JOINT_NAMES)
    data.qpos[:] = q
    mujoco.mj_forward(model, data)
    return model, data


def random_poses(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(LOWER, UPPER, (count, 6))


def test_tool_agrees_with_the_published_urdf():
    poses = random_poses(500)
    ours = kinematics.forward(poses)
    published = np.array([published_forward(q) for q in poses])
    distance = np.linalg.norm(ours[:, :3, 3] - published[:, :3, 3], axis=1)
    # The table leaves out a sideways offset of 0.178 mm at the wrist and rounds the rest to 0.1 mm.
    assert distance.max() < 0.22e-3
    turned = Rotation.from_matrix(ours[:, :3, :3].transpose(0, 2, 1) @ published[:, :3, :3]).magnitude()
    assert turned.max() < 1e-4


@given(angles_within_limits)
def test_every_link_is_where_mujoco_puts_it(q):
    model, data = mujoco_at(q)
    frames = kinematics.link_frames(q)
    for link in ("shoulder", "upper_arm", "lower_arm", "wrist", "gripper", "jaw", "gripper_frame"):
        body = data.body(model.body(link).id)
        np.testing.assert_allclose(frames[link][:3, 3], body.xpos, atol=1e-8)
        np.testing.assert_allclose(frames[link][:3, :3].ravel(), body.xmat, atol=1e-8)
    np.testing.assert_array_equal(frames["base"], np.eye(4))
    np.testing.assert_allclose(frames["gripper_frame"], kinematics.forward(q), atol=1e-15)


@given(angles_within_limits)
def test_jacobian_is_mujocos(q):
    model, data = mujoco_at(q)
    linear, angular = np.zeros((3, 6)), np.zeros((3, 6))
    mujoco.mj_jacBody(model, data, linear, angular, model.body("gripper_frame").id)
    np.testing.assert_allclose(kinematics.jacobian(q), np.vstack([linear, angular])[:, :5], atol=1e-8)


@given(angles_within_limits)
def test_jacobian_is_the_slope_of_forward(q):
    step = 1e-6
    ahead, behind = (kinematics.forward(q[:5] + sign * step * np.eye(5)) for sign in (1, -1))
    linear = (ahead - behind)[:, :3, 3] / (2 * step)
    turned = Rotation.from_matrix(ahead[:, :3, :3] @ behind[:, :3, :3].transpose(0, 2, 1))
    angular = turned.as_rotvec() / (2 * step)
    np.testing.assert_allclose(kinematics.jacobian(q), np.hstack([linear, angular]).T, atol=1e-8)


def test_batches_are_the_single_poses_stacked():
    poses = random_poses(6).reshape(2, 3, 6)
    single = np.array([[kinematics.forward(q) for q in row] for row in poses])
    np.testing.assert_allclose(kinematics.forward(poses), single, atol=1e-15)
    jacobians = np.array([[kinematics.jacobian(q) for q in row] for row in poses])
    np.testing.assert_allclose(kinematics.jacobian(poses), jacobians, atol=1e-15)
    jaws = np.array([[kinematics.link_frames(q)["jaw"] for q in row] for row in poses])
    np.testing.assert_allclose(kinematics.link_frames(poses)["jaw"], jaws, atol=1e-15)


def test_gripper_moves_the_jaw_and_not_the_tool():
    q = random_poses(1)[0]
    opened = np.append(q[:5], q[5] + 0.3)
    np.testing.assert_array_equal(kinematics.forward(q), kinematics.forward(opened))
    np.testing.assert_array_equal(kinematics.forward(q), kinematics.forward(q[:5]))
    assert not np.allclose(kinematics.link_frames(q)["jaw"], kinematics.link_frames(opened)["jaw"])


def test_gravity_torque_follows_from_the_table_of_masses():
    """MuJoCo's bias torque of the URDF at rest is the slope of the potential energy of the table's masses."""
    gravity, step = 9.81, 1e-6

    def potential_energy(poses: np.ndarray) -> np.ndarray:
        frames = kinematics.link_frames(poses)
        energy = np.zeros(len(poses))
        for link in LINKS:
            # The jaw's center of mass is tabulated in the gripper frame at the zero pose: bring it to the jaw's.
            center = np.append(link.center_of_mass, 1.0)
            if link.name == "jaw":
                zero = kinematics.link_frames(np.zeros(6))
                center = np.linalg.inv(zero["jaw"]) @ zero["gripper"] @ center
            energy += link.mass * gravity * (frames[link.name] @ center)[:, 2]
        return energy

    for q in random_poses(20):
        _, data = mujoco_at(q)
        slope = (potential_energy(q + step * np.eye(6)) - potential_energy(q - step * np.eye(6))) / (2 * step)
        np.testing.assert_allclose(data.qfrc_bias, slope, atol=1e-6)


def test_urdf_keeps_the_table():
    model, _ = mujoco_arm()
    for index, joint in enumerate(JOINTS):
        assert model.joint(index).range == pytest.approx([joint.lower, joint.upper])
    for link in LINKS[1:]:
        assert model.body(link.name).mass == pytest.approx(link.mass)
        tensor = np.diag(link.inertia)
        tensor[np.triu_indices(3, 1)] = tensor[np.tril_indices(3, -1)] = link.products
        assert sorted(model.body(link.name).inertia) == pytest.approx(sorted(np.linalg.eigvalsh(tensor)), abs=1e-9)


def test_the_root_of_the_urdf_has_no_mass_and_lies_where_the_base_does():
    robot = ElementTree.fromstring(robot_description())
    children = {joint.find("child").get("link") for joint in robot.findall("joint")}
    (root,) = [link for link in robot.findall("link") if link.get("name") not in children]
    assert root.get("name") == ROOT_LINK == "base_link"
    assert len(root) == 0
    model, _ = mujoco_at(np.zeros(6))
    np.testing.assert_array_equal(model.body("base").pos, np.zeros(3))
    np.testing.assert_array_equal(model.body("base").quat, [1, 0, 0, 0])


def test_the_packaged_urdf_file_is_the_generated_one():
    printed = subprocess.run([sys.executable, "-m", "prana_ros.so101.urdf"], capture_output=True, text=True, check=True)
    assert packaged("urdf", "so101.urdf").read_text(encoding="utf-8") == printed.stdout == robot_description()


@pytest.mark.parametrize("degrees", [-10, -5, 0, 5, 10])
def test_drawn_jaws_leave_the_measured_gap(degrees):
    q = np.radians([0, 0, 0, 0, 0, degrees])
    model, data = mujoco_at(q)
    gap = min(
        mujoco.mj_geomDistance(model, data, fixed, moving, 0.2, None)
        for fixed in range(model.ngeom)
        for moving in range(model.ngeom)
        if model.geom(fixed).bodyid == model.body("gripper").id
        and model.geom(moving).bodyid == model.body("jaw").id
        and abs(model.geom(fixed).pos[2]) > 0.098
        and model.geom(moving).pos[2] < -0.06
    )
    assert gap == pytest.approx(kinematics.jaw_gap(q[5]), abs=2e-3)


def test_jaw_gap_passes_through_the_measurements_and_grows():
    degrees, gaps = np.array(JAW_GAP).T
    np.testing.assert_allclose(kinematics.jaw_gap(np.radians(degrees)), gaps, atol=1e-12)
    assert (np.diff(kinematics.jaw_gap(np.linspace(LOWER[5], UPPER[5], 200))) > 0).all()
    assert kinematics.jaw_gap(-3.0) == gaps[0]


@pytest.mark.parametrize("shape", [(), (4,), (7,), (3, 1)])
def test_wrong_number_of_joints_is_refused(shape):
    with pytest.raises(ValueError, match=r"last dimension must be 5 or 6") as error:
        kinematics.forward(np.zeros(shape))
    assert str(shape) in str(error.value)
    with pytest.raises(ValueError, match=r"last dimension must be 6"):
        kinematics.link_frames(np.zeros(5))
