"""Make docs/demo.webp, the moving picture of the README, from the video of a demo.

prana demo --episodes 1 --output outputs/film && python docs/make_demo_webp.py outputs/film/video.mp4
"""

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

STEP = 3
"""Every third frame of 30 a second."""
WIDTH = 560
LARGEST = 3_000_000
LEAD = 10
"""Frames before the arm moves that are kept."""
CAPTION = 30
"""Pixels at the top that say how the series goes on."""
MOTION = 1.0
"""Mean difference of two frames (of 255) above which something has moved; the codec's own is below a tenth."""


def main() -> None:
    """Write the picture, and refuse one that is too large for a page."""
    with av.open(sys.argv[1]) as video:
        frames = [frame.to_image() for index, frame in enumerate(video.decode(video=0)) if index % STEP == 0]
    size = (WIDTH, round(WIDTH * frames[0].height / frames[0].width))
    small = [frame.resize(size, Image.Resampling.LANCZOS) for frame in frames]
    path = Path(__file__).parent / "demo.webp"
    small = small[max(0, first_change(small) - LEAD) :]
    small[0].save(path, save_all=True, append_images=small[1:], duration=100, loop=0, quality=60, method=6)
    if path.stat().st_size > LARGEST:
        raise SystemExit(
            f"{path} has {path.stat().st_size} bytes, but at most {LARGEST} are allowed: choose fewer frames"
        )
    print(f"{path}: {len(small)} frames of {size[0]}x{size[1]}, {path.stat().st_size / 1e6:.1f} MB")


def first_change(frames: list[Image.Image]) -> int:
    """Return the number of the first frame that differs from the first: the policy is loaded before it."""
    pixels = [np.asarray(frame, np.int16)[CAPTION:] for frame in frames]
    return next((number for number, frame in enumerate(pixels) if np.abs(frame - pixels[0]).mean() > MOTION), 0)


if __name__ == "__main__":
    main()
