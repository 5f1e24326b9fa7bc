"""What is evaluated: a checkpoint of any LeRobot policy, or the scripted expert, under a short name."""

import contextlib
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from prana_ros.evaluation.result import EXPERT
from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.checkpoint_folder import checkpoint_folder
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.policies.chunk_policy import WEIGHTS_FILE
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import LEROBOT_UNITS

_UNTOLD = ("checkpoints", "pretrained_model", "last")


@dataclass(frozen=True)
class EvaluatedPolicy:
    """A checkpoint, and how it is loaded; picklable, so that every process can load its own.

    Attributes:
        name: for tables and files.
        path: the checkpoint's folder, or ``EXPERT``.
        device: where it computes.
        fps: of its training data, where the checkpoint does not say.
        threads: of PyTorch on a CPU.
    """

    name: str
    path: str
    device: str = "auto"
    fps: float | None = None
    threads: int = 1

    @property
    def is_expert(self) -> bool:
        """Whether this is the scripted expert, which has no checkpoint."""
        return self.path == EXPERT

    def load(self) -> LoadedPolicy:
        """Load the checkpoint.

        Raises:
            ValueError: if it cannot be loaded, or its frame rate is not known.
        """
        torch.set_num_threads(self.threads)
        with contextlib.redirect_stdout(io.StringIO()):  # LeRobot says that it loads, in the middle of a progress bar
            policy = load_policy(self.path, self.device, joint_names=JOINT_NAMES, units=LEROBOT_UNITS, fps=self.fps)
        known = policy.spec.fps
        if not known:
            raise ValueError(
                f"{self.path} does not say at which rate it was trained; give its frames a second as --fps"
            )
        if self.fps not in (None, known):
            raise ValueError(f"{self.path} was trained at {known:g} frames a second, but --fps is {self.fps:g}")
        return policy

    def describe(self, policy: LoadedPolicy | None) -> dict[str, Any]:
        """Return what a result says of the policy; ``None`` for the expert."""
        if policy is None:
            return {"path": self.path, "type": "scripted expert"}
        return {
            "path": self.path,
            "weights": weights_fingerprint(self.path),
            "type": policy.spec.kind,
            "parameters": sum(parameter.numel() for parameter in policy.policy.parameters()),
            "fps": policy.spec.fps,
            "chunk_size": policy.spec.chunk_size,
            "denoising_steps": policy.spec.denoising_steps,
            "device": _device(policy.device),
        }


def weights_fingerprint(path: str) -> str:
    """The first 16 digits of the SHA-256 of a checkpoint's weights: two of one name are told apart by it.

    Raises:
        CheckpointError: if there is no checkpoint.
    """
    with (checkpoint_folder(path) / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def names_of(paths: Sequence[str]) -> list[str]:
    """A short name for each checkpoint: the folder's that a person chose, with those above it until all differ.

    Checkpoints of one training run are told apart by their steps.

    Raises:
        ValueError: if a checkpoint is named twice.
    """
    if repeated := [path for path, count in Counter(paths).items() if count > 1]:
        raise ValueError(f"{repeated[0]} is named twice; every policy is evaluated once")
    parts = [_chosen_parts(path) for path in paths]
    names = [part[-1] for part in parts]
    for length in range(2, max(map(len, parts)) + 1):
        clashing = _clashing(names)
        longer = ["_".join(part[-length:]) for part in parts]
        names = [more if name in clashing else name for name, more in zip(names, longer, strict=True)]
    steps = ["_".join(part for part in Path(path).parts if part.isdecimal()) for path in paths]
    clashing = _clashing(names)
    names = [f"{name}_{step}" if step and name in clashing else name for name, step in zip(names, steps, strict=True)]
    clashing = _clashing(names)
    return [f"{name}_{index}" if name in clashing else name for index, name in enumerate(names)]


def _clashing(names: Sequence[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def _chosen_parts(path: str) -> list[str]:
    """The folders of a path but those that every training run has, and without its root."""
    parts = [part for part in Path(path).parts if part not in (*_UNTOLD, "..", ".", "/") and not part.isdecimal()]
    return parts or [Path(path).name or "policy"]


def _device(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
