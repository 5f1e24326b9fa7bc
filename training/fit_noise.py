"""Fit the noise of an existing checkpoint to a dataset, and write it into the checkpoint.

    python training/fit_noise.py --dataset me/dataset --checkpoint outputs/train/run/checkpoints/last/pretrained_model

The dataset is given by its repo id or its folder.
Only the noise changes; the covariance that training learned for inpainting stays. The fit is made under the
statistics that the checkpoint's own processors normalize with: chunks that are normalized otherwise belong to a policy
trained otherwise.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from safetensors.torch import load_file, save_file

import prana_ros.policies.registration  # noqa: F401 (LeRobot then knows the policies)
from prana_ros.datasets.opening import open_dataset
from prana_ros.policies import dataset_metadata
from prana_ros.policies.chunk_policy import WEIGHTS_FILE
from prana_ros.policies.correlated_noise import CorrelatedNoise, fit_noise
from prana_ros.policies.flow_config import FlowPolicyConfig
from prana_ros.policies.saved_statistics import saved_action_statistics

LEARNED = ("noise.covariance", "noise.residual_updates")


def refit(dataset: str, checkpoint: Path) -> str:
    """Patch the checkpoint's weights file with noise fitted to the dataset; returns a sentence about the fit.

    Raises:
        ValueError: if there is no such checkpoint or dataset, or the checkpoint has no noise or no processors.
    """
    missing = [name for name in ("config.json", WEIGHTS_FILE) if not (checkpoint / name).is_file()]
    if missing:
        raise ValueError(f"{checkpoint} is no checkpoint: it has no {' and no '.join(missing)}")
    config = PreTrainedConfig.from_pretrained(checkpoint)
    if not isinstance(config, FlowPolicyConfig):
        kind = get_policy_class(config.type).__name__
        raise ValueError(f"{checkpoint}: a {kind} has no correlated noise; allowed: a PRANA flow policy")
    statistics = saved_action_statistics(checkpoint)
    if statistics is None:
        raise ValueError(
            f"{checkpoint}: no action statistics in its preprocessor; allowed: a checkpoint with processors"
        )
    meta = open_dataset(dataset, download_videos=False).meta
    fit = fit_noise(dataset_metadata.normalized_action_episodes(meta, statistics), config.chunk_size, config.noise_beta)
    noise = CorrelatedNoise(config.chunk_size, config.action_dim)
    noise.set_fit(fit, statistics)
    weights = load_file(checkpoint / WEIGHTS_FILE)
    refitted = {f"noise.{name}": tensor for name, tensor in noise.state_dict().items()}
    if weights.get("noise.residual_updates", torch.tensor(0)) > 0:
        for name in LEARNED:
            refitted.pop(name)
    weights.update(refitted)
    partial = checkpoint / f"{WEIGHTS_FILE}.partial"  # whole before it replaces what took hours to train
    save_file(weights, partial, metadata={"format": "pt"})
    partial.replace(checkpoint / WEIGHTS_FILE)
    return f"noise fitted to {fit.num_chunks} chunks, shrinkage {fit.shrinkage:.3g}"


def main() -> int:
    """Command line of :func:`refit`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="repo id, or folder, of the LeRobotDataset")
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder with config.json and model.safetensors")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    try:
        print(refit(arguments.dataset, arguments.checkpoint))
    except (ValueError, FileNotFoundError) as error:
        print(f"fit_noise: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
