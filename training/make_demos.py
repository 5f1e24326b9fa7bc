"""Write demonstrations of the scripted expert on the twin as a LeRobot dataset.

Example: ``python training/make_demos.py --episodes 450 --root outputs/demos/standard``
"""

import argparse
import sys
from pathlib import Path

import av.logging
from datasets import disable_progress_bars
from tqdm import tqdm

from prana_ros.simulation.demonstrations import make_demonstrations
from prana_ros.simulation.scene import DISTRIBUTIONS, scene_distribution


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=450, help="successful episodes to write (default: 450)")
    parser.add_argument("--fps", type=int, default=10, help="frames a second (default: 10)")
    parser.add_argument("--scenes", choices=sorted(DISTRIBUTIONS), default="standard", help="(default: standard)")
    parser.add_argument("--seed", type=int, default=0, help="first training seed (default: 0)")
    parser.add_argument("--root", type=Path, required=True, help="folder of the new dataset")
    parser.add_argument("--repo-id", default="prana/twin_screwdriver", help="the dataset's name")
    parser.add_argument("--processes", type=int, default=2, help="simulations at a time (default: 2)")
    options = parser.parse_args()
    if options.episodes < 1 or options.processes < 1:
        parser.error("--episodes and --processes must be at least 1")
    av.logging.set_libav_level(av.logging.ERROR)
    disable_progress_bars()
    failed = 0
    try:
        tried = make_demonstrations(
            scene_distribution(options.scenes),
            options.episodes,
            options.root,
            options.repo_id,
            fps=options.fps,
            seed=options.seed,
            processes=options.processes,
        )
        with tqdm(total=options.episodes, unit="episode") as progress:
            for demonstration in tried:
                if demonstration.outcome == "success":
                    progress.update()
                else:
                    failed += 1
                    progress.set_postfix(left_out=failed, last=demonstration.outcome)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.episodes} episodes in {options.root}; {failed} failed and were left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
