"""What a policy sees in lock-step is what it was trained on."""

from dataclasses import replace

import numpy as np
import pytest
from support.chunk_policies import small_spec
from support.policies import write_dataset

from prana_ros.datasets.frame_cache import open_frame_cache
from prana_ros.evaluation.policy_view import PolicyView, stretched
from prana_ros.inference.spec import PolicySpec
from prana_ros.simulation.scene import STANDARD, sample_scene
from prana_ros.simulation.world import CAMERA_SIZE, CAMERAS, World
from prana_ros.so101.units import Units


def with_images(**shapes: tuple[int, int, int]) -> PolicySpec:
    return replace(small_spec(), cameras=shapes)


def look(spec: PolicySpec):
    view = PolicyView(spec)
    with World(sample_scene(STANDARD, 0), view.camera_size) as world:
        return view.look(world), {name: world.render(name) for name in CAMERAS}


def test_a_frame_is_stretched_exactly_as_the_frame_cache_does_it(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frame = {
        "observation.state": np.zeros(6, np.float32),
        "action": np.zeros(6, np.float32),
        "observation.images.table": image,
        "observation.images.wrist": image,
        "task": "look",
    }
    dataset = write_dataset(tmp_path / "set", "test/look", [[dict(frame), dict(frame)]])
    cached = open_frame_cache(dataset, tmp_path / "cache", ["observation.images.table"], 33, "stretch")
    expected = cached["observation.images.table"][0].transpose(1, 2, 0)
    np.testing.assert_array_equal(stretched(image, 33), expected)
    assert stretched(image, None) is image


def test_square_images_are_stretched_from_the_datasets_size():
    seen, drawn = look(with_images(table=(3, 96, 96), wrist=(3, 96, 96)))
    for name, image in seen.images.items():
        assert drawn[name].shape == (CAMERA_SIZE[1], CAMERA_SIZE[0], 3)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, stretched(drawn[name], 96))


def test_other_images_are_drawn_at_their_own_size():
    seen, drawn = look(with_images(wrist=(3, 60, 80)))
    assert list(seen.images) == ["wrist"], "only what the policy looks at is drawn"
    np.testing.assert_array_equal(seen.images["wrist"], drawn["wrist"])
    assert seen.images["wrist"].shape == (60, 80, 3)


def test_a_policy_may_look_at_the_joints_only():
    seen, _ = look(with_images())
    assert seen.images == {}
    assert seen.state.shape == (6,)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (with_images(front=(3, 48, 64)), "needs camera front, this robot has table, wrist"),
        (with_images(table=(3, 48, 64), wrist=(3, 96, 96)), r"one size, the policy was trained on .*64.*320"),
        (replace(small_spec(), joint_names=("a", "b", "c", "d", "e", "f")), "policy's joints are a, b, c, d, e, f"),
        (replace(small_spec(), units=Units.M100_100), "units are m100_100, but units is set to degrees"),
        (replace(small_spec(), noise_problem="the noise was not fitted"), "the noise was not fitted"),
    ],
)
def test_a_policy_that_does_not_fit_the_twin_is_refused(spec, sentence):
    with pytest.raises(ValueError, match=sentence):
        PolicyView(spec)
