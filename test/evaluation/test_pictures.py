"""Film strips and plots: what is drawn where."""

import cv2
import numpy as np
import pytest
from support.episodes import episode, evaluation, film

from prana_ros.evaluation.film import PAGES, STRIPS_A_PAGE, FilmRecorder, film_strip, write_failure_pages
from prana_ros.evaluation.pictures import FILM_WIDTH, PICTURES
from prana_ros.evaluation.plots import plot_smoothness, plot_success, plot_time


def test_a_strip_shows_the_pictures_in_order_under_a_caption():
    strip = film_strip(episode(17, "dropped", film=film(PICTURES)))
    middle = strip[strip.shape[0] * 3 // 4]
    columns = np.arange(PICTURES) * strip.shape[1] // PICTURES + strip.shape[1] // PICTURES // 2
    assert middle[columns, 0].tolist() == [picture[0, 0, 0] for picture in film(PICTURES)]
    assert strip[:20].min() < 100, "the caption is written in dark ink"
    short = film_strip(episode(18, "dropped", film=film(3)))
    assert short.shape == strip.shape
    assert short[short.shape[0] * 3 // 4, columns[5], 0] == 255, "paper where there is no picture"


def test_failures_fill_pages_and_successes_are_left_out(tmp_path):
    episodes = [
        episode(seed, "missed" if seed % 2 else "success", film=film(2)) for seed in range(2 * STRIPS_A_PAGE + 2)
    ]
    pages = write_failure_pages(episodes, tmp_path, "act_failures")
    assert [page.name for page in pages] == ["act_failures_1.png", "act_failures_2.png"]
    heights = [cv2.imread(str(page)).shape[0] for page in pages]
    assert heights[0] == STRIPS_A_PAGE * heights[1]


def test_pages_are_limited_and_there_is_none_without_a_filmed_failure(tmp_path):
    many = [episode(seed, "missed", film=film(1)) for seed in range(PAGES * STRIPS_A_PAGE + 1)]
    assert len(write_failure_pages(many, tmp_path, "many")) == PAGES
    assert write_failure_pages([episode(0, film=film(2)), episode(1, "missed")], tmp_path, "none") == []


@pytest.mark.parametrize("seconds", [0.01, 1.0, 15.0, 200.0])
def test_a_recorded_film_is_evenly_spaced_from_the_beginning_to_the_end(seconds):
    recorder = FilmRecorder()
    for time in np.arange(0.0, seconds, 1 / 30):
        level = round(255 * time / seconds)
        recorder.add(100.0 + time, [np.full((240, 320, 3), level, np.uint8)] * 2)
    pictures = recorder.film()
    shares = np.array([picture[0, 0, 0] / 255 for picture in pictures])
    assert 1 <= len(pictures) <= PICTURES
    assert all(picture.shape == (120, FILM_WIDTH, 3) for picture in pictures)
    assert shares[0] == 0.0
    if seconds >= 15.0:
        assert len(pictures) >= PICTURES - 1
        assert np.diff(shares).max() < 3 / PICTURES
        assert shares[-1] > 0.85


def test_no_picture_no_film():
    assert FilmRecorder().film() == ()


def test_the_plots_show_every_policy_in_its_colour(tmp_path):
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
        picture = cv2.imread(str(tmp_path / f"{name}.png")).astype(int)
        for color in (blue, orange):
            assert (np.abs(picture - color).max(axis=2) < 8).sum() > 50, name
    assert (tmp_path / "nothing.png").stat().st_size > 5000
