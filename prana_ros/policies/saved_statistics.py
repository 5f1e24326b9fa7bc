"""The action normalisation that a checkpoint's preprocessor was saved with."""

import json
from pathlib import Path

from lerobot.utils.constants import ACTION, POLICY_PREPROCESSOR_DEFAULT_NAME
from safetensors.torch import load_file

from prana_ros.policies.correlated_noise import ActionStatistics

NORMALIZER = "normalizer_processor"


def saved_action_statistics(checkpoint: Path) -> ActionStatistics | None:
    """The action statistics in a checkpoint's folder; None where it has none."""
    description = checkpoint / f"{POLICY_PREPROCESSOR_DEFAULT_NAME}.json"
    if not description.is_file():
        return None
    for step in json.loads(description.read_text())["steps"]:
        if step.get("registry_name") == NORMALIZER and "state_file" in step:
            state = load_file(checkpoint / step["state_file"])
            if f"{ACTION}.mean" in state and f"{ACTION}.std" in state:
                return ActionStatistics.of(state[f"{ACTION}.mean"], state[f"{ACTION}.std"])
    return None
