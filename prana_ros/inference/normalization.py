"""Does a checkpoint normalize what it says it does? LeRobot skips a feature without statistics and says nothing.

The arm would then follow normalized numbers as if they were degrees. So every feature whose mode is not IDENTITY must
have its step, its mode and its statistics, in the preprocessor and, for the action, in the postprocessor too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType
from lerobot.utils.constants import POLICY_POSTPROCESSOR_DEFAULT_NAME, POLICY_PREPROCESSOR_DEFAULT_NAME
from safetensors import SafetensorError

from prana_ros.policies.saved_statistics import (
    NORMALIZER,
    UNNORMALIZER,
    NormalizationStep,
    saved_statistics,
    saved_step,
)

IDENTITY = "IDENTITY"
STATISTICS = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
"""What LeRobot reads for each mode."""
OWN_NORMALIZATION = ("groot",)
"""Policies that normalize in steps of their own, whatever their normalization_mapping says."""
_LISTED = 4


@dataclass(frozen=True)
class _Pipeline:
    """One of a checkpoint's two pipelines, with what it normalizes."""

    description: str
    name: str
    step: NormalizationStep | None
    statistics: Mapping[str, torch.Tensor]


def normalization_problems(folder: Path, config: PreTrainedConfig) -> list[str]:
    """What is wrong with a checkpoint's normalization, a sentence for each file and feature; empty if nothing is."""
    if config.type in OWN_NORMALIZATION:
        return []
    inputs, outputs = config.input_features or {}, config.output_features or {}
    modes = {
        key: getattr(config.normalization_mapping.get(feature.type.value), "value", IDENTITY)
        for key, feature in {**inputs, **outputs}.items()
    }
    shapes = {key: tuple(feature.shape) for key, feature in {**inputs, **outputs}.items()}
    images = {key for key, feature in inputs.items() if feature.type is FeatureType.VISUAL}
    sentences: list[str] = []
    pipelines = []
    for description, name, keys in (
        (f"{POLICY_PREPROCESSOR_DEFAULT_NAME}.json", NORMALIZER, modes.keys()),
        (f"{POLICY_POSTPROCESSOR_DEFAULT_NAME}.json", UNNORMALIZER, outputs.keys()),
    ):
        step = saved_step(folder / description, name)
        try:
            statistics = saved_statistics(folder, step) if step else {}
        except (OSError, SafetensorError):
            assert step is not None
            sentences.append(
                f"{description} takes its statistics from {step.state_file}, "
                f"which {'cannot be read' if (folder / str(step.state_file)).is_file() else 'is not there'}."
            )
            continue
        pipeline = _Pipeline(description, name, step, statistics)
        pipelines.append(pipeline)
        # Images that a processor does not name are left to the policy, as PRANA's are.
        named = [key for key in keys if key not in images or (step and key in step.feature_types)]
        sentences += _pipeline_problems(folder, pipeline, {key: modes[key] for key in named}, shapes, images)
    if not sentences:
        before, after = pipelines
        sentences += _differences(before, after, {key: modes[key] for key in outputs})
    return sentences


def _pipeline_problems(
    folder: Path,
    pipeline: _Pipeline,
    modes: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    images: set[str],
) -> Iterator[str]:
    step = pipeline.step
    needed = {key: mode for key, mode in modes.items() if mode != IDENTITY}
    if step is None:
        if needed:
            yield (
                f"{pipeline.description} has no {pipeline.name} step, but config.json says {_modes(needed)}: "
                f"use the {pipeline.description} that training saved beside these weights."
            )
        return
    wrong = {key: mode for key, mode in modes.items() if step.mode(key) != mode}
    for key, mode in wrong.items():
        yield f"{pipeline.description} has {key} in mode {step.mode(key)}, but config.json in {mode}."
    if step.state_file is None and needed:
        yield (
            f"The {pipeline.name} step of {pipeline.description} names no state_file, so that there are no statistics "
            f"for {_modes(needed)}{_file_beside(folder, pipeline)}."
        )
        return
    for key, mode in needed.items():
        if key not in wrong:
            yield from _statistics_problems(pipeline, key, mode, shapes[key], key in images)


def _statistics_problems(
    pipeline: _Pipeline, key: str, mode: str, shape: tuple[int, ...], is_image: bool
) -> Iterator[str]:
    assert pipeline.step is not None
    file, statistics = pipeline.step.state_file, pipeline.statistics
    names = [f"{key}.{kind}" for kind in STATISTICS[mode]]
    if missing := [name for name in names if name not in statistics]:
        yield f"{file} has no {' and no '.join(missing)}, which mode {mode} needs{_similar(statistics, key, missing)}."
        return
    for name in names:
        value = statistics[name]
        if not _fits(value.shape, shape, is_image):
            yield f"{file} has {name} of shape {tuple(value.shape)}, but {key} has {shape}."
            return
        if not torch.isfinite(value).all():
            bad = value.flatten()[~torch.isfinite(value.flatten())][0].item()
            yield f"{file} has {name} with the value {bad}; it must be finite."
            return
    low, high = (statistics[name] for name in names)
    # Zero is what a joint that never moved has; LeRobot reads it as next to zero.
    if mode == "MEAN_STD" and (high < 0).any():
        yield f"{file} has {names[1]} with the value {high.min().item():g}; it must not be negative."
    elif mode != "MEAN_STD" and (high < low).any():
        yield f"{file} has values of {names[1]} below those of {names[0]}."


def _fits(statistic: torch.Size, shape: tuple[int, ...], is_image: bool) -> bool:
    if not is_image:
        return tuple(statistic) == shape
    try:
        return tuple(torch.broadcast_shapes(statistic, shape)) == shape
    except RuntimeError:
        return False


def _differences(before: _Pipeline, after: _Pipeline, modes: Mapping[str, str]) -> Iterator[str]:
    """Statistics by which actions are normalized and unnormalized must be the same."""
    if before.step is None or after.step is None:
        return
    for key, mode in modes.items():
        for name in (f"{key}.{kind}" for kind in STATISTICS.get(mode, ())):
            one, other = before.statistics[name], after.statistics[name]
            if not torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-6):
                index = int((one - other).abs().argmax())
                yield (
                    f"{name} differs: {one.flatten()[index]:g} in {before.step.state_file}, "
                    f"{other.flatten()[index]:g} in {after.step.state_file}."
                )


def _modes(modes: Mapping[str, str]) -> str:
    return ", ".join(f"{key} in mode {mode}" for key, mode in modes.items())


def _file_beside(folder: Path, pipeline: _Pipeline) -> str:
    """The cure, where the file that LeRobot would have named is there."""
    prefix = pipeline.description.removesuffix(".json")
    found = sorted(folder.glob(f"{prefix}_step_*_{pipeline.name}.safetensors"))
    return f'; add "state_file": "{found[0].name}"' if found else ""


def _similar(statistics: Mapping[str, torch.Tensor], key: str, missing: list[str]) -> str:
    """What is there under other names, and what to do about it."""
    endings = tuple(f".{name}" for name in missing)
    if prefixed := [name for name in statistics if name.endswith(endings)]:
        more = f" and {len(prefixed) - _LISTED} more" if len(prefixed) > _LISTED else ""
        return (
            f"; it has {', '.join(prefixed[:_LISTED])}{more}: rename those of this arm's data, or train on data of "
            "this arm"
        )
    if others := [name.rpartition(".")[2] for name in statistics if name.rpartition(".")[0] == key]:
        return f"; of {key} it has {', '.join(sorted(others))}"
    return ""
