"""Scenes: the same for the same seed, inside their ranges, and never touching the box."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.simulation.scene import (
    BOX_INNER,
    BOX_WALL,
    DISTRIBUTIONS,
    HARD,
    PAN_AXIS,
    SHIFTED,
    STANDARD,
    sample_scene,
    scene_distribution,
    to_box,
)

seeds = st.integers(0, 2**31)

STANDARD_7 = (
    (0.1869719284, 0.0815739084),
    (1.7143498989, 0.8321228418, 0.3253966398, 0.1659864303, 0.2720613344, 0.3996500595, 0.6003032427),
)
"""Tool position; yaw, tool and box color, as they were when the first demonstrations were recorded."""


@given(st.sampled_from(list(DISTRIBUTIONS.values())), seeds)
def test_a_seed_gives_one_scene(distribution, seed):
    assert sample_scene(distribution, seed) == sample_scene(distribution, seed)


@given(seeds)
def test_standard_scenes_stay_in_their_ranges(seed):
    scene = sample_scene(STANDARD, seed)
    x, y = np.array(scene.tool_position) - PAN_AXIS
    assert 0.15 - 1e-9 <= np.hypot(x, y) <= 0.235 + 1e-9
    across = (scene.tool_yaw - np.arctan2(y, x) - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    assert abs(across) <= 0.9 + 1e-9
    assert scene.box_position == sample_scene(STANDARD, 0).box_position
    assert scene.camera_shift == (0, 0, 0)


@given(st.sampled_from(list(DISTRIBUTIONS.values())), seeds)
def test_the_tool_never_touches_the_box(distribution, seed):
    scene = sample_scene(distribution, seed)
    direction = np.array([np.cos(scene.tool_yaw), np.sin(scene.tool_yaw)])
    points = np.array(scene.tool_position) + np.linspace(*scene.tool_ends, 200)[:, None] * direction
    beyond = np.abs(to_box(points, np.array(scene.box_position), scene.box_yaw)) - BOX_INNER - BOX_WALL
    assert (beyond.max(axis=1) > scene.tool_radius).all()


def test_a_seed_keeps_giving_what_policies_were_trained_on():
    scene = sample_scene(STANDARD, 7)
    np.testing.assert_allclose(scene.tool_position, STANDARD_7[0], atol=1e-9)
    np.testing.assert_allclose([scene.tool_yaw, *scene.tool_color, *scene.box_color], STANDARD_7[1], atol=1e-9)
    assert (scene.friction, scene.tool_mass, scene.tool_length, scene.tool_thickness) == (1, 1, 1, 1)


@given(seeds)
def test_hard_scenes_stay_in_their_ranges(seed):
    scene, standard = sample_scene(HARD, seed), sample_scene(STANDARD, 0)
    assert 0.6 <= scene.light <= 1.3
    assert np.abs(scene.camera_shift).max() <= 0.006
    assert np.abs(np.subtract(scene.box_position, standard.box_position)).max() <= 0.02 + 1e-12
    assert 0.85 <= scene.friction <= 1.15
    assert 0.8 <= scene.tool_mass <= 1.25
    assert (scene.tool_length, scene.tool_thickness) == (1, 1)


@given(seeds, seeds)
def test_a_shifted_scene_is_none_that_training_sees(seed, other):
    shifted, hard = sample_scene(SHIFTED, seed), sample_scene(HARD, other)
    assert not SHIFTED.for_training
    assert shifted.tool_length < hard.tool_length
    assert shifted.tool_radius > hard.tool_radius
    assert shifted.light <= 0.6 <= hard.light
    saturations = [colorsys.rgb_to_hsv(*scene.tool_color)[1] for scene in (shifted, hard)]
    assert saturations[0] < 0.51 < 0.79 < saturations[1]


def test_hard_scenes_vary_what_standard_ones_do_not():
    scenes = [sample_scene(HARD, seed) for seed in range(100)]
    assert len({scene.box_position for scene in scenes}) == 100
    assert np.ptp([scene.light for scene in scenes]) > 0.5
    assert np.ptp([scene.tool_yaw for scene in scenes]) > 5
    assert max(abs(value) for scene in scenes for value in scene.camera_shift) > 0.005
    assert np.ptp([scene.friction for scene in scenes]) > 0.25
    assert np.ptp([scene.tool_mass for scene in scenes]) > 0.4


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-np.pi, np.pi))
def test_box_coordinates_keep_distances(x, y, yaw):
    box = np.array([0.1, -0.2])
    assert np.linalg.norm(to_box(np.array([x, y]), box, yaw)) == pytest.approx(np.hypot(x - 0.1, y + 0.2))
    along = box + np.array([-np.sin(yaw), np.cos(yaw)])
    np.testing.assert_allclose(to_box(along, box, yaw), (0, 1), atol=1e-12)


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match=r"'easy'.*standard, hard, shifted"):
        scene_distribution("easy")
    with pytest.raises(ValueError, match="-1; it must not be negative"):
        sample_scene(STANDARD, -1)


def test_scenes_are_values():
    scene = sample_scene(STANDARD, 4)
    assert replace(scene, light=0.5) != scene
