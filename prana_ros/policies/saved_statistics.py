"""The normalization that a checkpoint's processors were saved with, read from its folder without building them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.utils.constants import ACTION, POLICY_PREPROCESSOR_DEFAULT_NAME
from safetensors.torch import load_file

from prana_ros.policies.correlated_noise import ActionStatistics

NORMALIZER = "normalizer_processor"
UNNORMALIZER = "unnormalizer_processor"
_CLASSES = {NORMALIZER: ".NormalizerProcessorStep", UNNORMALIZER: ".UnnormalizerProcessorStep"}


@dataclass(frozen=True)
class NormalizationStep:
    """A normalizer or unnormalizer step, as a pipeline's JSON file describes it."""

    feature_types: Mapping[str, str]
    """Type of each feature that the step names: STATE, ACTION, VISUAL."""
    modes: Mapping[str, str]
    """Normalization mode by type of feature; a type that is not there is left unchanged."""
    observation_keys: tuple[str, ...] | None
    """The only observations that are normalized; ``None``: all."""
    state_file: str | None
    """The file in the checkpoint's folder that holds the statistics."""

    def mode(self, key: str) -> str:
        """What the step does with a feature, statistics permitting."""
        if key == ACTION:  # LeRobot normalizes the action whether or not the step names it.
            return self.modes.get("ACTION", "IDENTITY")
        if key not in self.feature_types or (self.observation_keys is not None and key not in self.observation_keys):
            return "IDENTITY"
        return self.modes.get(self.feature_types[key], "IDENTITY")


def saved_step(description: Path, name: str) -> NormalizationStep | None:
    """The step of this registered name in a pipeline's JSON file; ``None`` where it has none."""
    for step in json.loads(description.read_text())["steps"]:
        if step.get("registry_name") == name or step.get("class", "").endswith(_CLASSES[name]):
            config: dict[str, Any] = step.get("config") or {}
            keys = config.get("normalize_observation_keys")
            return NormalizationStep(
                {key: feature.get("type") for key, feature in (config.get("features") or {}).items()},
                config.get("norm_map") or {},
                None if keys is None else tuple(keys),
                step.get("state_file"),
            )
    return None


def saved_statistics(checkpoint: Path, step: NormalizationStep) -> dict[str, torch.Tensor]:
    """The step's statistics by LeRobot's name, ``action.mean``; empty where it has no file.

    Raises:
        OSError, SafetensorError: if the file is missing or cannot be read.
    """
    return load_file(checkpoint / step.state_file) if step.state_file else {}


def saved_action_statistics(checkpoint: Path) -> ActionStatistics | None:
    """The action statistics in a checkpoint's folder; None where it has none."""
    description = checkpoint / f"{POLICY_PREPROCESSOR_DEFAULT_NAME}.json"
    step = saved_step(description, NORMALIZER) if description.is_file() else None
    statistics = saved_statistics(checkpoint, step) if step else {}
    if f"{ACTION}.mean" not in statistics or f"{ACTION}.std" not in statistics:
        return None
    return ActionStatistics.of(statistics[f"{ACTION}.mean"], statistics[f"{ACTION}.std"])
