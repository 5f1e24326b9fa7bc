"""Load any LeRobot policy for deployment: from a local folder, safetensors and JSON only, nothing downloaded."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import OBS_STATE
from lerobot.utils.import_utils import register_third_party_plugins

from prana_ros.inference.checkpoint_features import feature_problems
from prana_ros.inference.checkpoint_folder import (
    CONFIG,
    POSTPROCESSOR,
    PREPROCESSOR,
    CheckpointError,
    checkpoint_folder,
    one_line,
    read_json,
)
from prana_ros.inference.denoising import AS_SAVED, STEP_SETTINGS, Denoising
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.inference.normalization import normalization_problems
from prana_ros.inference.spec import PolicySpec, StateRange
from prana_ros.policies import registration  # noqa: F401  (LeRobot then knows our policies)
from prana_ros.policies.flow_policy import FlowPolicy
from prana_ros.so101.units import Calibration, Units

_TRUSTED_STEPS = ("lerobot.", "lerobot_", "prana_ros.")
"""Packages whose processor steps a checkpoint may name: a class path in a JSON file is code that gets run."""


def load_policy(
    path: str | Path,
    device: str = "auto",
    *,
    joint_names: Sequence[str] | None = None,
    units: Units | None = None,
    fps: float | None = None,
    calibration: Calibration | None = None,
    denoising: Denoising = AS_SAVED,
) -> LoadedPolicy:
    """Load a policy and its processors from a folder that ``lerobot-train`` or ``save_pretrained`` wrote.

    Args:
        path: the folder, one that holds it as ``pretrained_model``, or a name in the Hub's cache on this machine.
        device: ``cpu``, ``cuda``, ... or ``auto``: the GPU where there is one.
        joint_names, units, fps: what the checkpoint does not say (only PRANA's do). Where it does, the
            checkpoint's own word stays in the spec; comparing both is the gate's task.
        calibration: of the robot's arm, for checkpoints in units of -100 … 100.
        denoising: how to denoise, where not as the checkpoint says.

    Raises:
        CheckpointError: if the folder or one of its files is missing, the policy is unknown, what it normalizes has
            no statistics, the weights do not fit or are not finite, or the device is not there.
        ValueError: if the policy cannot denoise so.
    """
    folder = checkpoint_folder(path)
    _refuse_foreign_steps(folder)
    config = _read_config(folder, device)
    if problems := normalization_problems(folder, config):
        raise CheckpointError(f"Checkpoint {str(folder)!r} does not normalize as it says. {' '.join(problems)}")
    denoising.apply(config)
    policy = _read_weights(folder, config)
    preprocessor, postprocessor = _read_processors(folder, config)
    spec = _spec_of(policy)
    spec = replace(
        spec,
        joint_names=spec.joint_names or (tuple(joint_names) if joint_names else None),
        units=spec.units or units,
        fps=spec.fps or fps or None,
    )
    image_keys = {_camera_name(key): key for key in config.image_features}
    return LoadedPolicy(spec, policy, preprocessor, postprocessor, torch.device(config.device), image_keys, calibration)


def _read_config(folder: Path, device: str) -> PreTrainedConfig:
    register_third_party_plugins()
    content = read_json(folder / CONFIG)
    kind = content.get("type")
    if kind not in PreTrainedConfig.get_known_choices():
        known = ", ".join(sorted(PreTrainedConfig.get_known_choices()))
        raise CheckpointError(f"Checkpoint {str(folder)!r} holds a policy of type {kind!r}; known are {known}.")
    if problems := [*feature_problems(content), *_units_problems(content)]:
        raise CheckpointError(f"The {CONFIG} of checkpoint {str(folder)!r} {', and '.join(problems)}.")
    try:
        config = PreTrainedConfig.from_pretrained(folder)
    except Exception as error:
        raise CheckpointError(f"The {CONFIG} of checkpoint {str(folder)!r} is not valid: {one_line(error)}") from error
    config.device = _device(device)
    # The weights come from the checkpoint: nobody may fetch a backbone's from the network first.
    if hasattr(config, "pretrained_backbone_weights"):
        config.pretrained_backbone_weights = None
    if hasattr(config, "load_vlm_weights"):
        config.load_vlm_weights = False
    return config


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"device {name!r} is not available on this machine: {one_line(error)}") from error
    return name


def _read_weights(folder: Path, config: PreTrainedConfig) -> PreTrainedPolicy:
    policy_class = get_policy_class(config.type)
    try:
        # Strict: a tensor that the file lacks would keep random values and drive the arm with them.
        policy = policy_class.from_pretrained(folder, config=config, local_files_only=True, strict=True)
    except Exception as error:
        raise CheckpointError(f"The weights of checkpoint {str(folder)!r} cannot be read: {one_line(error)}") from error
    for name, tensor in policy.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"The weights of checkpoint {str(folder)!r} are not finite: tensor {name!r}.")
    return policy.eval().requires_grad_(False)


def _read_processors(folder: Path, config: PreTrainedConfig) -> tuple[Any, Any]:
    try:
        return make_pre_post_processors(
            config,
            pretrained_path=str(folder),
            preprocessor_overrides=_device_override(folder / PREPROCESSOR, config.device),
            # Actions go to the arm from the CPU, whatever accelerator the training machine had.
            postprocessor_overrides=_device_override(folder / POSTPROCESSOR, "cpu"),
        )
    except Exception as error:
        raise CheckpointError(
            f"The processors of checkpoint {str(folder)!r} cannot be read: {one_line(error)}"
        ) from error


def _device_override(description: Path, device: str | None) -> dict[str, dict[str, str | None]]:
    steps = [step.get("registry_name") for step in read_json(description)["steps"]]
    return {"device_processor": {"device": device}} if "device_processor" in steps else {}


def _refuse_foreign_steps(folder: Path) -> None:
    for name in (PREPROCESSOR, POSTPROCESSOR):
        steps = read_json(folder / name).get("steps")
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise CheckpointError(f"{name} of checkpoint {str(folder)!r} has no list of steps.")
        for step in steps:
            step_class = step.get("class", "")
            if "registry_name" not in step and not step_class.startswith(_TRUSTED_STEPS):
                raise CheckpointError(
                    f"{name} of checkpoint {str(folder)!r} names the class {step_class!r}, not LeRobot's."
                )


def _spec_of(policy: PreTrainedPolicy) -> PolicySpec:
    """What the policy and its configuration say of themselves."""
    config: Any = policy.config
    state, action = config.robot_state_feature, config.action_feature
    visual = config.image_features
    joint_names = getattr(config, "joint_names", None)
    arguments = inspect.signature(policy.predict_action_chunk).parameters
    return PolicySpec(
        kind=config.type,
        joint_names=tuple(joint_names) if joint_names else None,
        units=_units(config),
        fps=getattr(config, "fps", None),
        cameras={_camera_name(key): _image_shape(feature.shape) for key, feature in visual.items()},
        other_inputs=tuple(
            key
            for key, feature in (config.input_features or {}).items()
            if key != OBS_STATE and feature.type in (FeatureType.STATE, FeatureType.ENV)
        ),
        state_size=state.shape[0] if state else 0,
        action_size=action.shape[0] if action else 0,
        chunk_size=int(getattr(config, "chunk_size", None) or config.n_action_steps),
        observation_steps=config.n_obs_steps,
        denoising_steps=_denoising_steps(config),
        takes_prefix="prev_chunk_left_over" in arguments,
        state_range=_state_range(config),
        noise_problem=policy.noise_problem() if isinstance(policy, FlowPolicy) else None,
        calibration_fingerprint=getattr(config, "calibration_fingerprint", None),
    )


def _units_problems(content: dict[str, Any]) -> list[str]:
    units, known = content.get("units"), [unit.name.lower() for unit in Units]
    if not units or units in known:
        return []
    return [f"has units {units!r}; LeRobot's units are needed, one of {', '.join(known)}"]


def _units(config: Any) -> Units | None:
    """Checkpoints write the name of the units in lower case."""
    name = getattr(config, "units", None)
    return Units[name.upper()] if name else None


def _camera_name(key: str) -> str:
    """``observation.images.wrist`` is camera ``wrist``; ``observation.image`` is camera ``image``."""
    return key.removeprefix("observation.").removeprefix("images.")


def _image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    channels, height, width = shape
    return channels, height, width


def _denoising_steps(config: Any) -> int:
    for name in (*STEP_SETTINGS, "num_train_timesteps"):
        if getattr(config, name, None):
            return int(getattr(config, name))
    return 0


def _state_range(config: Any) -> StateRange | None:
    lower, upper = getattr(config, "state_min", None), getattr(config, "state_max", None)
    if not lower or not upper:
        return None
    return StateRange(np.asarray(lower, dtype=float), np.asarray(upper, dtype=float))
