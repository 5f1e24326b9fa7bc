"""Make a checkpoint ready to hand on: what deployment reads and a model card, without the raw training weights.

    python training/package_checkpoint.py outputs/train/twin_v2/checkpoints/last checkpoints/twin_v2 \\
        --evaluation outputs/train/twin_v2/evaluation.json
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from lerobot.configs.policies import PreTrainedConfig
from safetensors.torch import load_file

import prana_ros.policies.registration  # noqa: F401 (LeRobot then knows the policies)
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

## Training

{steps} steps of batch {batch} on the LeRobot dataset `{dataset}`, by `training/train.py` with the flags in
`train_config.json`.

## Evaluation

{evaluation}

It was trained on nothing else than these scenes, on a simulated arm: expect it to fail elsewhere.
"""


def describe_evaluation(path: Path | None) -> str:
    """What ``training/evaluate.py`` wrote, in words."""
    if path is None:
        return "Not evaluated."
    result = json.loads(path.read_text())
    low, high = result["wilson_95"]
    outcomes = ", ".join(f"{name}: {number}" for name, number in result["outcomes"].items())
    return (
        f"{result['successes']} of {result['episodes']} unseen episodes succeeded in lock-step "
        f"(95 % Wilson interval {low:.0%} to {high:.0%}; {outcomes}).\n"
        f"Command: `python {' '.join(result['command'])}`."
    )


def model_card(name: str, checkpoint: Path, evaluation: Path | None) -> str:
    """The README.md of a training checkpoint."""
    folder = checkpoint / "pretrained_model"
    config = PreTrainedConfig.from_pretrained(folder)
    if not isinstance(config, FlowPolicyConfig) or not config.fps:
        raise ValueError(f"{folder}: not a PRANA flow policy trained on a dataset")
    train = json.loads((folder / "train_config.json").read_text())
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
        steps=json.loads((checkpoint / "training_state" / "training_step.json").read_text())["step"],
        batch=train["batch_size"],
        dataset=train["dataset"]["repo_id"],
        evaluation=describe_evaluation(evaluation),
    )


def package(checkpoint: Path, target: Path, evaluation: Path | None) -> None:
    """Copy a training checkpoint to ``target``, replacing what is there.

    Raises:
        ValueError: if it is not a checkpoint that ``training/train.py`` wrote, or the target holds something else.
    """
    if not (checkpoint / "pretrained_model" / "train_config.json").is_file():
        raise ValueError(f"{checkpoint}: no pretrained_model; allowed: a checkpoint that training/train.py wrote")
    if target.exists() and any(target.iterdir()) and not (target / CONFIG_FILE).is_file():
        raise ValueError(f"{target} holds something else than a checkpoint; allowed: a new or a checkpoint's folder")
    card = model_card(target.name, checkpoint, evaluation)
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
    parser.add_argument("--evaluation", type=Path, help="what training/evaluate.py --output wrote about it")
    arguments = parser.parse_args()
    try:
        package(arguments.checkpoint, arguments.target, arguments.evaluation)
    except (ValueError, FileNotFoundError) as error:
        print(f"package_checkpoint: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
