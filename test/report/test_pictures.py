import av
import cv2
import numpy as np
import pytest
from support.records import chunk, joints, series

from prana_ros.report.log import RunLog
from prana_ros.report.plot import plot_joints
from prana_ros.report.video import CAPTION_HEIGHT, SideBySideVideo, side_by_side

RED, BLUE = (200, 20, 20), (20, 20, 200)


def plain(color: tuple[int, int, int], height: int = 120, width: int = 160) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]


def test_the_video_shows_the_cameras_side_by_side_at_their_times_of_capture(tmp_path):
    video = SideBySideVideo(tmp_path / "video.mp4", ("table", "wrist"))
    times = [100.0, 100.1, 100.3, 101.0]
    for time in times:
        video.add("wrist", time, plain(BLUE))
        video.add("table", time, plain(RED))
    video.close()
    frames = decoded(tmp_path / "video.mp4")
    assert [time for time, _ in frames] == pytest.approx([0.0, 0.1, 0.3, 1.0], abs=1e-3)
    image = frames[-1][1]
    assert image.shape == (120 + CAPTION_HEIGHT, 320, 3)
    # Away from the names, and within what 4:2:0 coding keeps of a color.
    assert np.abs(image[CAPTION_HEIGHT + 40, 80].astype(int) - RED).max() < 25
    assert np.abs(image[CAPTION_HEIGHT + 40, 240].astype(int) - BLUE).max() < 25


def test_the_caption_is_drawn_above_the_images(tmp_path):
    video = SideBySideVideo(tmp_path / "video.mp4", ("table",))
    video.add("table", 0.0, plain((0, 0, 0)), "episode 1")
    video.close()
    image = decoded(tmp_path / "video.mp4")[0][1]
    assert image[:CAPTION_HEIGHT].max() > 150
    assert image[CAPTION_HEIGHT + 10 : CAPTION_HEIGHT + 60].max() < 30


def test_frames_that_do_not_move_on_in_time_are_left_out(tmp_path):
    video = SideBySideVideo(tmp_path / "video.mp4", ("table",))
    for time in (1.0, 1.0, 0.5, 2.0):
        video.add("table", time, plain(RED))
    video.close()
    assert video.frames_written == 2
    assert [time for time, _ in decoded(tmp_path / "video.mp4")] == pytest.approx([0.0, 1.0])


def test_no_frame_no_file(tmp_path):
    video = SideBySideVideo(tmp_path / "video.mp4", ("table", "wrist"))
    video.add("table", 0.0, plain(RED))
    video.close()
    video.close()
    assert not (tmp_path / "video.mp4").exists()


def test_images_of_different_and_odd_sizes_stand_in_one_row():
    row = side_by_side([plain(RED, 121, 161), plain(BLUE, 240, 320)], ("table", "wrist"))
    assert row.shape[0] == 120
    assert row.shape[1] % 2 == 0


def test_the_plot_shows_measured_commanded_and_seams_of_each_episode(tmp_path):
    log = RunLog(
        series=[
            series(1.0, "running", 0),
            series(5.0, "running", 1, ["success"]),
            series(9.0, "done", 1, ["success", "timeout"]),
        ],
        measured=[joints(t, np.sin(t)) for t in np.arange(0.0, 10.0, 0.02)],
        commanded=[joints(t, np.sin(t + 0.1)) for t in np.arange(0.0, 10.0, 0.02)],
        chunks=[chunk(t) for t in np.arange(1.0, 9.0, 0.5)],
    )
    plot_joints(log, tmp_path / "joints.png")
    image = cv2.imread(str(tmp_path / "joints.png"))
    orange, blue, black = (14, 127, 255), (180, 119, 31), (0, 0, 0)
    for color in (orange, blue, black):
        assert (np.abs(image.astype(int) - color).max(axis=2) < 8).sum() > 200


def test_without_an_episode_there_is_no_plot(tmp_path):
    with pytest.raises(ValueError, match="nothing to plot"):
        plot_joints(RunLog(), tmp_path / "joints.png")
