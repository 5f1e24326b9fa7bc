"""Save a small PRANA checkpoint, or predict from one, also as a process: with the LeRobot that its Python path finds.

python -m support.one_chunk save KIND CHECKPOINT
python -m support.one_chunk predict CHECKPOINT CHUNK.npy
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

from support.checkpoints import save_prana
from support.policies import observations


def predict(checkpoint: Path) -> np.ndarray:
    """The chunk (2, H, 6) for fixed observations and noise, in the dataset's units, as LeRobot's commands load it."""
    config = PreTrainedConfig.from_pretrained(checkpoint)
    policy = get_policy_class(config.type).from_pretrained(checkpoint, config=config)
    preprocess, postprocess = make_pre_post_processors(policy.config, pretrained_path=str(checkpoint))
    batch = preprocess(observations())
    torch.manual_seed(1)
    return postprocess(policy.predict_action_chunk(batch)).numpy()


def main(command: str, *arguments: str) -> None:
    torch.set_num_threads(1)
    print(version("lerobot"))
    if command == "save":
        kind, checkpoint = arguments
        save_prana(Path(checkpoint), kind)
    else:
        checkpoint, chunk = arguments
        np.save(chunk, predict(Path(checkpoint)))


if __name__ == "__main__":
    main(*sys.argv[1:])
