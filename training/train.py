"""Train a policy: LeRobot's trainer and flags, with defaults for this project and frames decoded only once.

    python training/train.py --policy.type=prana_v2 --dataset.repo_id=local/demos --dataset.root=outputs/demos \\
        --steps=20000 --batch_size=32 --output_dir=outputs/train/demos

Added to LeRobot's flags:

    --frame_cache=DIR   where the decoded frames are kept; default beside the dataset; ``none`` decodes in every step
    --threads=N         PyTorch threads; default: as many as PyTorch takes
"""

import sys
from pathlib import Path

import torch
from lerobot.configs import parser
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.factory import make_dataset
from lerobot.scripts import lerobot_train
from torch.utils.data import Dataset

import prana_ros.policies.prana_v2  # noqa: F401 (registers the policy)
from prana_ros.policies.flow_config import FlowPolicyConfig
from prana_ros.policies.frame_cache import make_frame_cache

DEFAULTS = {
    "dataset.video_backend": "pyav",
    "policy.push_to_hub": "false",
    "wandb.enable": "false",
    "eval_freq": "0",
    "log_freq": "50",
}
NO_CACHE = "none"


def _take(arguments: list[str], name: str) -> str | None:
    """Remove --name=value from the arguments and return its value."""
    value = parser.parse_arg(name, arguments)
    arguments[:] = [a for a in arguments if not a.startswith(f"--{name}=")]
    return value


def _with_defaults(arguments: list[str], *, cached: bool) -> list[str]:
    """The arguments plus our defaults for what they leave open. A resumed run keeps what it was started with."""
    if parser.parse_arg("config_path", arguments):
        return arguments
    defaults = dict(DEFAULTS)
    if cached:
        defaults["num_workers"] = "0"  # a batch is a few copies from memory: worker processes only cost
    given = {a.split("=", 1)[0].removeprefix("--") for a in arguments}
    return arguments + [f"--{name}={value}" for name, value in defaults.items() if name not in given]


def make_cached_dataset(cfg: TrainPipelineConfig, folder: Path | None) -> Dataset:
    """LeRobot's dataset for this run, with its images from a frame cache where the policy lets us know their size.

    Args:
        folder: of the cache; None: beside the dataset.
    """
    dataset = make_dataset(cfg)
    policy = cfg.policy
    if not isinstance(policy, FlowPolicyConfig) or cfg.dataset.streaming or cfg.dataset.image_transforms.enable:
        return dataset
    if folder is None:
        folder = dataset.root.with_name(f"{dataset.root.name}.frames_{policy.image_size}_{policy.resize_mode}")
    cameras = policy.camera_order or list(dataset.meta.camera_keys)
    return make_frame_cache(dataset, folder, cameras, policy.image_size, policy.resize_mode)


def main() -> None:
    """Read our own flags, then hand over to LeRobot's trainer."""
    arguments = sys.argv[1:]
    cache = _take(arguments, "frame_cache")
    threads = _take(arguments, "threads")
    if threads is not None:
        torch.set_num_threads(int(threads))
    if cache != NO_CACHE:
        folder = Path(cache) if cache else None
        lerobot_train.make_dataset = lambda cfg: make_cached_dataset(cfg, folder)
    sys.argv[1:] = _with_defaults(arguments, cached=cache != NO_CACHE)
    lerobot_train.main()


if __name__ == "__main__":
    main()
