"""What the demo's policy cost: demonstrations a minute, measured now, and a training run by its ``metrics.jsonl``.

The run is one of ``training/train_twin.sh``; its log says how long each step took, so it is not repeated here.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, at_least, at_most, in_one_sentence, write_result
from prana_ros import resources
from prana_ros.datasets.demonstrations import Recording, make_demonstrations
from prana_ros.learning.training_log import METRICS_FILE, read_metrics, training_seconds
from prana_ros.policies.chunk_policy import WEIGHTS_FILE
from prana_ros.simulation.scene import HARD, STANDARD

SCENES = (HARD, HARD, STANDARD)
SEED = 500_000
"""Scenes of the timed demonstrations, counted from the first training seed: none that the policy was trained on."""
CURVE_POINTS = 100
"""Lines of the run's log that are kept with the figures."""


def demonstrations(count: int, processes: int) -> list[Figure]:
    """Record some as ``training/make_demos.py`` does, and throw them away."""
    recording = Recording(SCENES, fps=10, size=(320, 240), seed=SEED, plain=False)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        attempts = list(make_demonstrations(recording, count, Path(folder, "demos"), "local/timed", processes))
    minutes = (time.monotonic() - start) / 60
    share = 100 * sum(attempt.outcome == "success" for attempt in attempts) / len(attempts)
    return [
        Figure(f"demonstrations, {processes} processes", count / minutes, "a minute"),
        at_least(f"expert's success in {len(attempts)} attempts", share, "%", 98),
    ]


def training_run(run: Path) -> tuple[list[Figure], dict[str, Any]]:
    """Cost of a run, and what it was.

    Raises:
        ValueError: if there is no such run.
        OSError: if it has no checkpoint, or its demonstrations are gone.
    """
    metrics = read_metrics(run / METRICS_FILE)
    if not metrics:
        raise ValueError(f"{run / METRICS_FILE} is missing or empty; allowed: the output folder of a training run")
    train = json.loads((run / "checkpoints/last/pretrained_model/train_config.json").read_text())
    info = json.loads((Path(train["dataset"]["root"]) / "meta/info.json").read_text())
    hours = training_seconds(metrics) / 3600
    last = metrics[-1]
    figures = [
        Figure("demonstrations", info["total_episodes"], ""),
        Figure("frames", info["total_frames"], ""),
        Figure("samples", last["samples"], ""),
        at_most("training, wall time", hours, "h", 3),
        Figure("samples a second", last["samples"] / hours / 3600, ""),
        Figure("loss, mean of the last twentieth", _mean_loss(metrics[-max(1, len(metrics) // 20) :]), ""),
    ]
    every = -(-len(metrics) // CURVE_POINTS)
    curve = [{key: line[key] for key in ("step", "loss", "lr", "samples_per_s")} for line in metrics[::every]]
    return figures, {"seed": train["seed"], "steps": last["step"], "batch_size": train["batch_size"], "curve": curve}


def _mean_loss(lines: Sequence[dict[str, Any]]) -> float:
    return sum(line["loss"] for line in lines) / len(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("outputs/train/twin_prana_v2"), help="(default: %(default)s)")
    parser.add_argument("--demonstrations", type=int, default=24, help="to time (default: 24)")
    parser.add_argument("--processes", type=int, default=2, help="recording at a time (default: 2)")
    options = parser.parse_args()
    with in_one_sentence("demo_training"):
        figures, run = training_run(options.run)
        weights = resources.packaged("checkpoints", "twin_v2") / WEIGHTS_FILE
        figures.append(at_most("checkpoint in the repository", weights.stat().st_size / 1e6, "MB", 12))
        figures += demonstrations(options.demonstrations, options.processes)
        write_result("demo_training", figures, training=run)


if __name__ == "__main__":
    main()
