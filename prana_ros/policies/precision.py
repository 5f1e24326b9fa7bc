"""Training in mixed precision: joint positions, places in images and noise stay in float32 all the same."""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> torch.autocast:
    """A context in which nothing on the tensor's device is cast to lower precision."""
    return torch.autocast(tensor.device.type, enabled=False)
