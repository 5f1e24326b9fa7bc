"""The file source: real images and videos, a clock under the test's control, and what goes wrong."""

import itertools
import wave

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from prana_ros.cameras import file as file_module
from prana_ros.cameras.file import FileSource
from prana_ros.cameras.source import CameraError, FrameSource

PERIOD_NS = 100_000_000


class Clock:
    """Stands in for the module ``time``: it goes on only when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = 5_000_000_000

    def monotonic_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(file_module, "time", clock)
    return clock


def noise(seed: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_video(path, levels, codec: str) -> None:
    """A video of gray images, one level each, 64 x 48, at 5 fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def opened(path, **settings) -> FrameSource:
    source = FileSource(path, fps=10, **settings)
    source.open()
    return source


@pytest.mark.usefixtures("clock")
def test_an_image_is_shown_as_it_is(tmp_path):
    Image.fromarray(noise(1)).save(tmp_path / "a.png")
    source = opened(tmp_path / "a.png")
    assert source.size == (8, 6)
    for _ in range(3):
        np.testing.assert_array_equal(source.read().image, noise(1))


@pytest.mark.usefixtures("clock")
def test_gray_and_transparent_images_become_rgb(tmp_path):
    Image.fromarray(np.full((4, 5), 77, np.uint8)).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(opened(tmp_path / "gray.png").read().image, np.full((4, 5, 3), 77))
    Image.new("RGBA", (5, 4), (10, 20, 30, 128)).save(tmp_path / "clear.png")
    assert opened(tmp_path / "clear.png").read().image[0, 0].tolist() == [10, 20, 30]


@pytest.mark.usefixtures("clock")
def test_a_folder_plays_by_number_and_starts_again(tmp_path):
    for number in (10, 2, 1):
        Image.fromarray(noise(number)).save(tmp_path / f"frame_{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    source = opened(tmp_path)
    for number in (1, 2, 10, 1, 2, 10, 1):
        np.testing.assert_array_equal(source.read().image, noise(number))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_a_video_plays_every_frame_and_starts_again(tmp_path, codec):
    levels = [20, 60, 100, 140, 180, 220]
    write_video(tmp_path / "strip.mp4", levels, codec)
    source = opened(tmp_path / "strip.mp4")
    assert source.size == (64, 48)
    shown = [source.read().image.mean() for _ in range(2 * len(levels) + 1)]
    np.testing.assert_allclose(shown, [*levels, *levels, levels[0]], atol=5)


@pytest.mark.usefixtures("clock")
def test_images_are_scaled_to_the_size_asked_for_or_to_the_first(tmp_path):
    Image.fromarray(np.full((6, 8, 3), 50, np.uint8)).save(tmp_path / "1.png")
    Image.fromarray(np.full((12, 4, 3), 90, np.uint8)).save(tmp_path / "2.png")
    source = opened(tmp_path)
    images = [source.read().image for _ in range(2)]
    assert [image.shape for image in images] == [(6, 8, 3)] * 2
    assert images[1].mean() == 90
    source = opened(tmp_path, width=20, height=10)
    assert source.size == (20, 10)
    assert source.read().image.shape == (10, 20, 3)
    assert opened(tmp_path, width=20).size == (20, 6)


def test_scaling_down_averages(tmp_path):
    """A chessboard of single pixels becomes gray: no pixel is simply left out."""
    board = np.indices((40, 40)).sum(axis=0) % 2 * 255
    Image.fromarray(np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)).save(tmp_path / "a.png")
    image = opened(tmp_path / "a.png", width=10, height=10).read().image
    assert abs(image.astype(int) - 127).max() <= 1


@given(delays=st.lists(st.integers(0, 3 * PERIOD_NS), min_size=2, max_size=30))
def test_frames_keep_their_distance_however_slow_the_reader(tmp_path_factory, delays):
    folder = tmp_path_factory.mktemp("camera")
    Image.fromarray(noise(1)).save(folder / "a.png")
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_module, "time", clock)
        source = opened(folder / "a.png")
        stamps = []
        for delay in delays:
            clock.now += delay
            stamps.append(source.read().stamp_ns)
            assert clock.now - PERIOD_NS <= stamps[-1] <= clock.now
    distances = [after - before for before, after in itertools.pairwise(stamps)]
    assert all(distance >= PERIOD_NS for distance in distances)
    if max(delays) < PERIOD_NS:
        assert set(distances) == {PERIOD_NS}


def test_a_source_can_be_closed_and_opened_again(tmp_path, clock):
    Image.fromarray(noise(1)).save(tmp_path / "1.png")
    Image.fromarray(noise(2)).save(tmp_path / "2.png")
    source = opened(tmp_path)
    source.read()
    source.close()
    source.close()
    with pytest.raises(CameraError, match="is not open"):
        source.read()
    clock.now += 60 * PERIOD_NS
    source.open()
    np.testing.assert_array_equal(source.read().image, noise(1))


@pytest.mark.usefixtures("clock")
def test_an_image_that_disappears_is_an_error_and_its_return_cures_it(tmp_path):
    for number in (1, 2):
        Image.fromarray(noise(number)).save(tmp_path / f"{number}.png")
    source = opened(tmp_path)
    source.read()
    (tmp_path / "2.png").unlink()
    with pytest.raises(CameraError, match=r"2\.png cannot be read"):
        source.read()
    with pytest.raises(CameraError, match="is not open"):
        source.read()
    source.open()
    np.testing.assert_array_equal(source.read().image, noise(1))


def refusal(path) -> str:
    with pytest.raises(CameraError) as error:
        opened(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_what_cannot_be_played_is_refused_in_one_sentence(tmp_path):
    assert "There is no file" in refusal(tmp_path / "nothing.png")
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "has no image to play; images end in .bmp, .jpeg" in refusal(folder)
    text = tmp_path / "text.png"
    text.write_text("hello")
    assert "is not an image" in refusal(text)
    cut = tmp_path / "cut.png"
    Image.fromarray(noise(1, 200, 200)).save(cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    assert "cannot be read" in refusal(cut)
    huge = tmp_path / "huge.png"
    Image.new("1", (20_000, 20_000)).save(huge)
    assert "has more pixels than any camera's" in refusal(huge)
    no_video = tmp_path / "text.mp4"
    no_video.write_text("hello")
    assert "cannot be played as a video: Invalid data" in refusal(no_video)
    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    assert "cannot be played as a video: it has no images" in refusal(sound)
