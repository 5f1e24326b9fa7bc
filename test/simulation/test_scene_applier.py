"""Scenes in the compiled model, against a model compiled for them and against what physics says."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from prana_ros.simulation import mjcf
from prana_ros.simulation.mjcf import build_mjcf
from prana_ros.simulation.scene import HARD, SHIFTED, STANDARD, TOOL_BACK, TOOL_RADIUS, TOOL_TIP, sample_scene
from prana_ros.simulation.scene_applier import SceneApplier
from prana_ros.simulation.world import World

GRAVITY = 9.81
SCENE = sample_scene(STANDARD, 0)


def compiled() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(build_mjcf())


def slide(friction: float) -> float:
    """How far (m) the screwdriver slides along its axis when it is pushed off with 1 m/s."""
    world = World(replace(SCENE, friction=friction, tool_position=(0.25, 0.2), tool_yaw=0.0))
    start = world.object_poses()["tool"][0]
    world._data.joint("tool").qvel[0] = 1.0
    world.step(500)
    return float(world.object_poses()["tool"][0][0] - start[0])


@pytest.mark.parametrize("friction", [0.85, 1.0, 1.15])
def test_the_screwdriver_slides_as_far_as_its_friction_lets_it(friction):
    assert slide(friction) == pytest.approx(1.0**2 / (2 * 0.8 * friction * GRAVITY), rel=0.1)


@pytest.mark.parametrize("mass", [0.8, 1.0, 1.25])
def test_the_table_carries_the_screwdrivers_weight(mass):
    world = World(replace(SCENE, tool_mass=mass))
    world.step(500)
    dof = world._model.joint("tool").dofadr[0]
    assert world._data.qfrc_constraint[dof + 2] == pytest.approx(0.060 * mass * GRAVITY, rel=1e-3)


@pytest.mark.parametrize(("length", "thickness"), [(0.75, 1.25), (1.1, 0.9)])
def test_another_screwdriver_is_shaped_as_if_it_had_been_compiled(monkeypatch, length, thickness):
    laid_out = compiled()
    SceneApplier(laid_out).apply(replace(SCENE, tool_length=length, tool_thickness=thickness))
    monkeypatch.setattr(mjcf, "TOOL_BACK", TOOL_BACK * length)
    monkeypatch.setattr(mjcf, "TOOL_TIP", TOOL_TIP * length)
    monkeypatch.setattr(mjcf, "TOOL_RADIUS", TOOL_RADIUS * thickness)
    wanted = compiled()
    for name in ("handle", "shaft"):
        geom = wanted.geom(name).id
        for field in ("geom_size", "geom_pos", "geom_rbound", "geom_aabb"):
            np.testing.assert_allclose(getattr(laid_out, field)[geom], getattr(wanted, field)[geom], atol=1e-12)


def test_a_scene_leaves_nothing_behind():
    used, fresh = compiled(), compiled()
    layout = SceneApplier(used)
    for distribution in (SHIFTED, HARD, STANDARD):
        layout.apply(sample_scene(distribution, 5))
    SceneApplier(fresh).apply(sample_scene(STANDARD, 5))
    fields = [field for field in dir(fresh) if isinstance(getattr(fresh, field), np.ndarray)]
    assert {"geom_friction", "body_mass", "geom_size", "light_diffuse", "cam_pos"} <= set(fields)
    for field in fields:
        np.testing.assert_array_equal(getattr(used, field), getattr(fresh, field), err_msg=field)


def test_the_plain_scene_is_the_compiled_models_physics():
    plain, untouched = compiled(), compiled()
    SceneApplier(plain).apply(SCENE)
    for field in ("geom_friction", "geom_size", "body_mass", "body_inertia", "body_invweight0", "dof_invweight0"):
        np.testing.assert_array_equal(getattr(plain, field), getattr(untouched, field), err_msg=field)
