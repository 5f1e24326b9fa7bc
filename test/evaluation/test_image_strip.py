"""Film strips and plots: what is drawn where."""

import cv2
import numpy as np
import pytest
from support.episodes import episode, evaluation, strip_of

from prana_ros.evaluation.failure_strip import PAGES, STRIPS_A_PAGE, StripRecorder, failure_strip, write_failure_pages
from prana_ros.evaluation.image_strip import FILM_WIDTH, IMAGES
from prana_ros.evaluation.plots import plot_smoothness, plot_success, plot_time


def test_a_strip_shows_the_images_in_order_under_a_caption():
    strip = failure_strip(episode(17, "dropped", strip=strip_of(IMAGES)))
    middle = strip[strip.shape[0] * 3 // 4]
    columns = np.arange(IMAGES) * strip.shape[1] // IMAGES + strip.shape[1] // IMAGES // 2
    assert middle[columns, 0].tolist() == [image[0, 0, 0] for image in strip_of(IMAGES)]
    assert strip[:20].min() < 100, "the caption is written in dark ink"
    short = failure_strip(episode(18, "dropped", strip=strip_of(3)))
    assert short.shape == strip.shape
    assert short[short.shape[0] * 3 // 4, columns[5], 0] == 255, "paper where there is no image"


def test_failures_fill_pages_and_successes_are_left_out(tmp_path):
    episodes = [
        episode(seed, "missed" if seed % 2 else "success", strip=strip_of(2)) for seed in range(2 * STRIPS_A_PAGE + 2)
    ]
    pages = write_failure_pages(episodes, tmp_path, "act_failures")
    assert [page.name for page in pages] == ["act_failures_1.png", "act_failures_2.png"]
    heights = [cv2.imread(str(page)).shape[0] for page in pages]
    assert heights[0] == STRIPS_A_PAGE * heights[1]


def test_pages_are_limited_and_there_is_none_without_a_filmed_failure(tmp_path):
    many = [episode(seed, "missed", strip=strip_of(1)) for seed in range(PAGES * STRIPS_A_PAGE + 1)]
    assert len(write_failure_pages(many, tmp_path, "many")) == PAGES
    assert write_failure_pages([episode(0, strip=strip_of(2)), episode(1, "missed")], tmp_path, "none") == []


@pytest.mark.parametrize("seconds", [0.01, 1.0, 15.0, 200.0])
def test_a_recorded_film_is_evenly_spaced_from_the_beginning_to_the_end(seconds):
    recorder = StripRecorder()
    for time in np.arange(0.0, seconds, 1 / 30):
        level = round(255 * time / seconds)
        recorder.add(100.0 + time, [np.full((240, 320, 3), level, np.uint8)] * 2)
    images = recorder.strip()
    shares = np.array([image[0, 0, 0] / 255 for image in images])
    assert 1 <= len(images) <= IMAGES
    assert all(image.shape == (120, FILM_WIDTH, 3) for image in images)
    assert shares[0] == 0.0
    if seconds >= 15.0:
        assert len(images) >= IMAGES - 1
        assert np.diff(shares).max() < 3 / IMAGES
        assert shares[-1] > 0.85


def test_no_image_no_strip():
    assert StripRecorder().strip() == ()


def test_the_plots_show_every_policy_in_its_color(tmp_path):
    expert = [episode(seed, jerk=5.0, seam_steps=(), seam_velocity_steps=()) for seed in range(8)]
    evaluations = [
        evaluation([episode(seed, "success" if seed < good else "missed") for seed in range(8)], name)
        for name, good in (("v2", 8), ("act", 4))
    ]
    plot_success(evaluations, tmp_path / "success.png")
    plot_time(evaluations, tmp_path / "time.png")
    plot_smoothness([*evaluations, evaluation(expert, "expert")], expert, tmp_path / "smoothness.png")
    plot_smoothness([evaluation([episode(0, "missed")])], (), tmp_path / "nothing.png")
    blue, orange = (180, 119, 31), (14, 127, 255)  # matplotlib's first two, BGR
    for name in ("success", "time", "smoothness"):
        image = cv2.imread(str(tmp_path / f"{name}.png")).astype(int)
        for color in (blue, orange):
            assert (np.abs(image - color).max(axis=2) < 8).sum() > 50, name
    assert (tmp_path / "nothing.png").stat().st_size > 5000
