import math

import numpy as np
import pytest
from PIL import Image

from prana_ros.learning.chunk_samples import ChunkSamples, plot_chunks
from prana_ros.learning.offline_evaluation import as_json, held_out_episodes, summarize_errors, table

NAMES = ["one", "two", "three"]


def samples(seed: int, frames: int = 5, horizon: int = 7, seeds: int = 3) -> ChunkSamples:
    """Random chunks with some padding at their ends; in padded steps the numbers are wild."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, horizon, frames)
    is_pad = np.arange(horizon) >= lengths[:, None]
    demonstrated = rng.normal(size=(frames, horizon, 3))
    predicted = rng.normal(size=(seeds, frames, horizon, 3))
    demonstrated[is_pad] = 1e6
    predicted[:, is_pad] = -1e6
    return ChunkSamples(demonstrated, is_pad, predicted)


def by_hand(collected, joint):
    """Errors by step, spreads by step and ratios by order, counted one number at a time."""
    errors, variances, own, reference = {}, {}, {2: [], 3: []}, {2: [], 3: []}
    for part in collected:
        for n, length in enumerate((~part.is_pad).sum(axis=1)):
            for h in range(length):
                values = [float(v) for v in part.predicted[:, n, h, joint]]
                target = float(part.demonstrated[n, h, joint])
                errors.setdefault(h, []).extend(abs(v - target) for v in values)
                mean = sum(values) / len(values)
                variances.setdefault(h, []).append(sum((v - mean) ** 2 for v in values) / len(values))
            for order, weights in ((2, (1, -2, 1)), (3, (-1, 3, -3, 1))):
                for h in range(length - order):
                    window = slice(h, h + order + 1)
                    reference[order].append(np.dot(weights, part.demonstrated[n, window, joint]) ** 2)
                    own[order] += [np.dot(weights, chunk[n, window, joint]) ** 2 for chunk in part.predicted]
    return (
        {h: sum(v) / len(v) for h, v in errors.items()},
        {h: math.sqrt(sum(v) / len(v)) for h, v in variances.items()},
        {order: math.sqrt(np.mean(own[order]) / np.mean(reference[order])) for order in own},
    )


def test_the_figures_are_those_counted_by_hand():
    collected = [samples(0), samples(1, frames=40)]
    result = summarize_errors(collected)
    assert result.frames == 45
    for joint in range(3):
        errors, spreads, ratios = by_hand(collected, joint)
        for h in range(6):
            assert result.error[h, joint] == pytest.approx(errors[h])
            assert result.spread[h, joint] == pytest.approx(spreads[h])
        for order in (2, 3):
            assert result.roughness[order][joint] == pytest.approx(ratios[order])
    assert np.isnan(result.error[6]).all(), "no episode reaches the last step"


def test_what_cannot_be_said_is_null_not_a_number():
    still = samples(2)
    still.demonstrated[..., 1] = 4.0
    said = as_json(summarize_errors([still]), NAMES)
    assert said["relative_rms_of_difference_2"]["two"] is None
    assert said["relative_rms_of_difference_2"]["one"] > 0
    assert said["mean_absolute_error_by_step"]["three"][6] is None
    assert len(table(summarize_errors([still]), NAMES).splitlines()) == 4


def test_nothing_chosen_is_refused():
    with pytest.raises(ValueError, match="no frame was chosen"):
        summarize_errors([])


@pytest.mark.parametrize(
    ("trained", "left"), [(None, [0, 1, 2]), ([0, 2], [1]), ([0, 1, 2], [0, 1, 2]), ([], [0, 1, 2])]
)
def test_episodes_are_held_out_where_some_are_left(trained, left):
    assert held_out_episodes(3, trained) == left


def test_chunks_of_one_frame_and_one_joint_can_be_plotted(tmp_path):
    one = ChunkSamples(np.zeros((1, 4, 1)), np.zeros((1, 4), bool), np.ones((2, 1, 4, 1)))
    plot_chunks(one, ["only"], 10, "one", tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as image:
        image.verify()
