"""Make a checkpoint ready to hand on: what deployment reads and a model card, without the raw training weights.

    python training/package_checkpoint.py outputs/train/twin_prana_v2/checkpoints/last checkpoints/twin_v2 \\
        --data "Two thirds hard, one third standard scenes of the twin." \\
        --evaluation benchmarks/results/success/prana_v2_*.json
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lerobot.configs.policies import PreTrainedConfig
from safetensors.torch import load_file

import prana_ros.policies.registration  # noqa: F401 (LeRobot then knows the policies)
from prana_ros.evaluation.result import Evaluation, read_evaluation
from prana_ros.evaluation.summary import episode_metrics
from prana_ros.evaluation.tables import failures
from prana_ros.learning.training_log import METRICS_FILE, read_metrics, training_seconds
from prana_ros.machine import machine
from prana_ros.policies.chunk_policy import TRAINING_WEIGHTS_FILE, WEIGHTS_FILE
from prana_ros.policies.flow_config import FlowPolicyConfig

CONFIG_FILE = "config.json"
CARD = """\
---
license: apache-2.0
library_name: lerobot
pipeline_tag: robotics
tags: [robotics, lerobot, {kind}, so101]
---

# {name}

A {kind} policy of {parameters:.2f} M parameters for an SO-101 arm, at {fps} frames a second: chunks of {chunk} actions
({seconds:.1f} s) from the cameras {cameras} and the joint state. Units are LeRobot's ({units}, gripper 0 to 100).
Joints in order: {joints}.
The weights are the exponential moving average of training.

## Data

{data}

## Training

{steps} steps of batch {batch}, {samples:,} samples, from seed {seed}, by `training/train.py` with the flags in
`train_config.json`{cost}.

## Evaluation

{evaluation}

## Limits

It was trained on nothing else than these scenes, on a simulated arm: expect it to fail elsewhere, also on a real arm.
"""


def describe_data(root: Path, name: str, remark: str) -> str:
    """The dataset's size as far as it is here, and what a person says of it."""
    path = root / "meta" / "info.json"
    size = f"The LeRobot dataset `{name}`"
    if path.is_file():
        info = json.loads(path.read_text())
        size += f": {info['total_episodes']} episodes, {info['total_frames']} frames at {info['fps']} a second"
    return f"{size}. {remark}".strip()


def describe_cost(run: Path) -> str:
    """What a run's log says of its duration; empty without one."""
    metrics = read_metrics(run / METRICS_FILE)
    if not metrics:
        return ""
    here: dict[str, Any] = machine()
    return f"; {training_seconds(metrics) / 3600:.2f} h on {here['processor']}, {here['cores']} cores"


def describe_evaluations(evaluations: Sequence[Evaluation]) -> str:
    """A table of results, and the commands that made them."""
    if not evaluations:
        return "Not evaluated."
    rows = ["| scenes | through | success | 95 % | failures |", "|---|---|---|---|---|"]
    for each in evaluations:
        figures = episode_metrics(each.episodes)
        low, high = figures["success_rate_95"]
        failed = failures(figures["outcomes"])
        success = f"{figures['successes']} of {figures['episodes']}"
        rows.append(f"| {each.scenes} | {each.runner} | {success} | {low:.1%} to {high:.1%} | {failed} |")
    commands = sorted({f"`{each.command}`" for each in evaluations})
    return "\n".join(rows) + f"\n\nOn scenes that training never saw, by {', '.join(commands)}."


def model_card(name: str, checkpoint: Path, evaluations: Sequence[Evaluation], remark: str) -> str:
    """The README.md of a training checkpoint."""
    folder = checkpoint / "pretrained_model"
    config = PreTrainedConfig.from_pretrained(folder)
    if not isinstance(config, FlowPolicyConfig) or not config.fps:
        raise ValueError(f"{folder}: not a PRANA flow policy trained on a dataset")
    for each in evaluations:
        if each.policy.get("type") != config.type:
            raise ValueError(
                f"the result {each.name} is of {each.policy.get('type')!r}; allowed: results of this {config.type!r}"
            )
    train = json.loads((folder / "train_config.json").read_text())
    steps = json.loads((checkpoint / "training_state" / "training_step.json").read_text())["step"]
    weights = load_file(folder / WEIGHTS_FILE)
    return CARD.format(
        name=name,
        kind=config.type,
        parameters=sum(t.numel() for key, t in weights.items() if not key.startswith("noise.")) / 1e6,
        fps=config.fps,
        chunk=config.chunk_size,
        seconds=config.chunk_size / config.fps,
        cameras=" and ".join(key.removeprefix("observation.images.") for key in config.cameras),
        units=config.units,
        joints=", ".join(config.joint_names),
        data=describe_data(Path(train["dataset"]["root"] or ""), train["dataset"]["repo_id"], remark),
        steps=steps,
        batch=train["batch_size"],
        samples=steps * train["batch_size"],
        seed=train["seed"],
        cost=describe_cost(checkpoint.resolve().parents[1]),
        evaluation=describe_evaluations(evaluations),
    )


def package(checkpoint: Path, target: Path, evaluations: Sequence[Path] = (), remark: str = "") -> None:
    """Copy a training checkpoint to ``target``, replacing what is there.

    Args:
        evaluations: results of it, which the card tells.
        remark: a sentence about its data.

    Raises:
        ValueError: if it is not a checkpoint that ``training/train.py`` wrote, the target holds something else, or a
            result is none.
    """
    if not (checkpoint / "pretrained_model" / "train_config.json").is_file():
        raise ValueError(f"{checkpoint}: no pretrained_model; allowed: a checkpoint that training/train.py wrote")
    if target.exists() and any(target.iterdir()) and not (target / CONFIG_FILE).is_file():
        raise ValueError(f"{target} holds something else than a checkpoint; allowed: a new or a checkpoint's folder")
    card = model_card(target.name, checkpoint, [read_evaluation(path) for path in evaluations], remark)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(checkpoint / "pretrained_model", target, ignore=shutil.ignore_patterns(TRAINING_WEIGHTS_FILE))
    config = json.loads((target / CONFIG_FILE).read_text())
    config["pretrained_path"] = None  # where a resumed run had its weights from is of no use elsewhere
    (target / CONFIG_FILE).write_text(json.dumps(config, indent=4) + "\n")
    for path in target.iterdir():
        path.chmod(0o644)
    (target / "README.md").write_text(card)


def main() -> int:
    """Command line of :func:`package`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of a training run")
    parser.add_argument("target", type=Path, help="folder to write; replaced if it exists")
    parser.add_argument("--evaluation", type=Path, nargs="+", default=[], help="results of it by training/evaluate.py")
    parser.add_argument("--data", default="", help="a sentence about the demonstrations, for the model card")
    arguments = parser.parse_args()
    try:
        package(arguments.checkpoint, arguments.target, arguments.evaluation, arguments.data)
    except (ValueError, FileNotFoundError) as error:
        print(f"package_checkpoint: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
