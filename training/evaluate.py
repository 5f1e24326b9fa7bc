"""Run a checkpoint in closed loop on the twin, in lock-step and without ROS, and print how often it succeeds.

Example: ``python training/evaluate.py checkpoints/twin_v2 --episodes 100``
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binomtest
from tqdm import tqdm

from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.gate import RobotDescription, require
from prana_ros.inference.prediction import LoadedPolicy, PolicyInput
from prana_ros.simulation.lockstep import EpisodeOutcome, Observed, run_lockstep
from prana_ros.simulation.scene import DISTRIBUTIONS, TRAINING_SEEDS, scene_distribution
from prana_ros.simulation.task import TASK
from prana_ros.simulation.world import CAMERAS
from prana_ros.so101.figures import JOINT_NAMES
from prana_ros.so101.units import LEROBOT_UNITS


class LockstepPolicy:
    """A loaded policy as the lock-step evaluation calls it, with a new noise seed for each chunk."""

    def __init__(self, policy: LoadedPolicy, seed: int) -> None:
        self._policy, self._seed = policy, seed

    def __call__(self, history: Sequence[Observed]) -> np.ndarray:
        """Joint positions (H, 6) in rad from the last observations."""
        self._seed += 1
        inputs = [PolicyInput(seen.state, seen.images) for seen in history]
        return self._policy.predict(inputs, task=TASK, seed=self._seed).positions


def camera_size(policy: LoadedPolicy) -> tuple[int, int]:
    """Width and height of the pictures that the policy was trained on."""
    sizes = {(width, height) for _, height, width in policy.spec.cameras.values()}
    if len(sizes) != 1:
        raise ValueError(f"the twin's cameras have one size, the policy was trained on {sorted(sizes)}")
    return sizes.pop()


def summarize(outcomes: Sequence[EpisodeOutcome]) -> dict[str, object]:
    """Success rate with its 95 % Wilson interval, and how many episodes ended in each way."""
    successes = sum(outcome.outcome == "success" for outcome in outcomes)
    interval = binomtest(successes, len(outcomes)).proportion_ci(method="wilson")
    return {
        "episodes": len(outcomes),
        "successes": successes,
        "success_rate": successes / len(outcomes),
        "wilson_95": [interval.low, interval.high],
        "outcomes": dict(Counter(outcome.outcome for outcome in outcomes).most_common()),
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder of the checkpoint")
    parser.add_argument("--episodes", type=int, default=100, help="number of unseen scenes (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="first scene seed (default: 0)")
    parser.add_argument("--scenes", choices=sorted(DISTRIBUTIONS), default="standard", help="(default: standard)")
    parser.add_argument("--execute-steps", type=int, default=8, help="steps executed of each chunk (default: 8)")
    parser.add_argument("--fps", type=float, help="frame rate of the training data, if the checkpoint does not say")
    parser.add_argument("--time-limit", type=float, default=15.0, help="simulated seconds an episode (default: 15)")
    parser.add_argument("--device", default="cpu", help="where the policy runs (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the policy on a CPU (default: 1)")
    parser.add_argument("--output", type=Path, help="write summary and outcomes to this JSON file")
    options = parser.parse_args()
    if options.episodes < 1 or not 0 <= options.seed <= TRAINING_SEEDS - options.episodes:
        parser.error(f"scenes must lie in 0 … {TRAINING_SEEDS - 1}: those above were used for training")
    torch.set_num_threads(options.threads)
    try:
        outcomes = evaluate(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    summary = summarize(outcomes)
    low, high = summary["wilson_95"]
    print(f"{summary['successes']} of {summary['episodes']} succeeded ({low:.0%} to {high:.0%} at 95 %)")
    for name, number in summary["outcomes"].items():
        print(f"  {name}: {number}")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        content = {"command": sys.argv, **summary, "runs": [asdict(outcome) for outcome in outcomes]}
        options.output.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def evaluate(options: argparse.Namespace) -> list[EpisodeOutcome]:
    """Run all episodes with a progress bar."""
    policy = load_policy(
        options.checkpoint, options.device, joint_names=JOINT_NAMES, units=LEROBOT_UNITS, fps=options.fps
    )
    size = camera_size(policy)
    cameras = dict.fromkeys(CAMERAS, (3, *reversed(size)))
    require(policy.spec, RobotDescription(JOINT_NAMES, LEROBOT_UNITS, options.fps, cameras))
    fps = policy.spec.fps
    if not fps or int(fps) != fps:
        raise ValueError(f"the policy's frame rate is {fps}; a whole number is needed: set --fps")
    runs = run_lockstep(
        LockstepPolicy(policy, options.seed),
        range(options.seed, options.seed + options.episodes),
        scene_distribution(options.scenes),
        fps=int(fps),
        execute_steps=options.execute_steps,
        observation_steps=policy.spec.observation_steps,
        time_limit=options.time_limit,
        camera_size=size,
    )
    outcomes = []
    with tqdm(runs, total=options.episodes, unit="episode") as progress:
        for outcome in progress:
            outcomes.append(outcome)
            progress.set_postfix(success=sum(each.outcome == "success" for each in outcomes))
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
