"""Write demonstrations of the scripted expert on the twin as a LeRobot dataset.

Example: ``python training/make_demos.py --episodes 1200 --scenes hard,hard,standard --root outputs/demos/both``
"""

import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

from prana_ros.datasets.demonstrations import Recording, make_demonstrations
from prana_ros.simulation.scene import scene_distribution


def camera_size(text: str) -> tuple[int, int]:
    """Width and height from ``320x240``."""
    width, found, height = text.partition("x")
    if not (found and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write WIDTHxHEIGHT, for instance 320x240")
    return int(width), int(height)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=450, help="successful episodes to write (default: 450)")
    parser.add_argument("--fps", type=int, default=10, help="frames a second (default: 10)")
    parser.add_argument(
        "--scenes",
        default="standard",
        help="standard or hard, or several with commas, to be taken in turn: hard,hard,standard gives two thirds of "
        "hard ones (default: standard)",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="the expert's one plain way; by default it varies direction, speeds and heights, pauses and tries again, "
        "as people do",
    )
    parser.add_argument("--camera-size", type=camera_size, default=(320, 240), help="(default: 320x240)")
    parser.add_argument("--seed", type=int, default=0, help="first training seed (default: 0)")
    parser.add_argument("--root", type=Path, required=True, help="folder of the new dataset")
    parser.add_argument("--repo-id", default="prana/twin_screwdriver", help="the dataset's name")
    parser.add_argument("--processes", type=int, default=2, help="simulations at a time (default: 2)")
    options = parser.parse_args()
    if options.episodes < 1 or options.processes < 1:
        parser.error("--episodes and --processes must be at least 1")
    try:
        summary = record(options)
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing was kept", file=sys.stderr)
        return 130
    print(summary)
    return 0


def record(options: argparse.Namespace) -> str:
    """Record with a progress bar; what was done, as a sentence."""
    recording = Recording(
        tuple(scene_distribution(name) for name in options.scenes.split(",")),
        fps=options.fps,
        size=options.camera_size,
        seed=options.seed,
        plain=options.plain,
    )
    attempts = make_demonstrations(recording, options.episodes, options.root, options.repo_id, options.processes)
    failed, start = 0, time.monotonic()
    with tqdm(total=options.episodes, unit="episode") as progress:
        for attempt in attempts:
            if attempt.outcome == "success":
                progress.update()
            else:
                failed += 1
                progress.set_postfix(left_out=failed, last=f"{attempt.outcome} ({attempt.seed})")
    rate = 60 * options.episodes / (time.monotonic() - start)
    return f"{options.episodes} episodes in {options.root}, {rate:.0f} a minute; {failed} failed and were left out"


if __name__ == "__main__":
    sys.exit(main())
