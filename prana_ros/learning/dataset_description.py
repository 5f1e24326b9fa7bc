"""What training takes a dataset's joints, units and inputs to be, said before the first step: deployment must agree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lerobot.configs.policies import PreTrainedConfig
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from prana_ros.policies import dataset_facts
from prana_ros.policies.chunk_config import ChunkPolicyConfig
from prana_ros.so101.figures import JOINT_NAMES
from prana_ros.so101.units import Units

FULL_RANGE = 100.0
"""Where each arm joint ends in units of -100 … 100."""
SATURATED = 0.5
"""Nearer than this to an end counts as at it: degrees come so near by chance only, and not in several joints."""
SATURATED_JOINTS = 2
"""So many arm joints that reach an end, with none beyond it, are taken for units of -100 … 100."""
HALF_TURN = np.pi
IMAGES = ("image", "video")
"""Types of a dataset's features that hold images."""
_ARM = slice(0, len(JOINT_NAMES) - 1)


@dataclass(frozen=True)
class DatasetDescription:
    """Lines that say what was taken for what and why, and warnings where the data speak against it."""

    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(dataset_meta: Any, policy: PreTrainedConfig) -> DatasetDescription:
    """Describe a dataset as training with this policy takes it.

    Raises:
        ValueError: for a policy that no SO-101 could run; one sentence.
    """
    own = dataset_facts.joint_names(dataset_meta)
    remembered = isinstance(policy, ChunkPolicyConfig)
    chosen = list(policy.joint_names) if isinstance(policy, ChunkPolicyConfig) else []
    units = Units(policy.units) if isinstance(policy, ChunkPolicyConfig) else Units.DEGREES
    names = chosen or own
    require_deployable(dataset_meta.features, names, own, remembered)
    source = "--policy.joint_names" if chosen else "the dataset's action names"
    lines = [
        f"joints   {', '.join(names) or 'not named'} ({source})",
        f"units    {units.value}, gripper 0 to 100 ({_units_source(remembered)}; a dataset does not say them)",
        f"rate     {dataset_meta.fps} frames a second (the dataset's)",
        f"cameras  {', '.join(_cameras(dataset_meta.features)) or 'none'} (the dataset's)",
        f"state    {OBS_STATE}{_left_out(dataset_meta.features)}",
    ]
    if not remembered:
        lines.append(
            f"deploy   a {policy.type} checkpoint does not keep these: give joint_names, units and fps to the policy "
            "node (config/policy.yaml) and to prana check"
        )
    return DatasetDescription(tuple(lines), tuple(unit_warnings(dataset_meta.stats or {}, units)))


def require_deployable(
    features: Mapping[str, Any], names: Sequence[str], own: Sequence[str], remembered: bool = True
) -> None:
    """Refuse a dataset whose policy the checkpoint gate would refuse whatever one says.

    Raises:
        ValueError: one sentence.
    """
    size = len(JOINT_NAMES)
    for key in (OBS_STATE, ACTION):
        found = features.get(key)
        if found is None:
            raise ValueError(f"the dataset has no {key}; a policy for the SO-101 needs it, with {size} joints")
        if tuple(found["shape"]) != (size,):
            raise ValueError(
                f"the dataset's {key} has {found['shape'][0]} entries; an SO-101 has {size} joints, and no option "
                "deploys a policy of another number: train on the data of one arm"
            )
    if remembered and tuple(names) != JOINT_NAMES:
        flag = "[" + ",".join(JOINT_NAMES) + "]"
        raise ValueError(
            f"the joints are {', '.join(names) or 'not named'}, but an SO-101's are {', '.join(JOINT_NAMES)}; if these "
            f"are the same joints in the same order, say --policy.joint_names={flag}"
        )
    if names != list(own) and sorted(own) == sorted(JOINT_NAMES):
        raise ValueError(f"--policy.joint_names is {', '.join(names)}, but the dataset's order is {', '.join(own)}")


def unit_warnings(stats: Mapping[str, Any], units: Units) -> Iterator[str]:
    """Sentences where the smallest and largest values of the arm joints speak against the units."""
    for key in (ACTION, OBS_STATE):
        ends = stats.get(key, {})
        if "min" not in ends or "max" not in ends:
            continue
        lower, upper = np.asarray(ends["min"], dtype=float)[_ARM], np.asarray(ends["max"], dtype=float)[_ARM]
        if looks_like_m100_100(lower, upper) and units is Units.DEGREES:
            yield (
                f"{key}: arm joints end at -100 or 100 and none goes beyond, as in the units -100 … 100 of older "
                "LeRobot releases; if they are that, say --policy.units=m100_100"
            )
        elif looks_like_radians(lower, upper):
            yield (
                f"{key}: no arm joint leaves {_span(lower, upper)}, as if the values were radians; LeRobot's units are "
                f"needed ({', '.join(unit.value for unit in Units)}): convert the dataset"
            )
        elif units is Units.M100_100 and max(np.abs(lower).max(), np.abs(upper).max()) > FULL_RANGE + SATURATED:
            yield f"{key}: arm joints reach {_span(lower, upper)}, beyond -100 … 100; are the units degrees?"


def looks_like_m100_100(lower: np.ndarray, upper: np.ndarray) -> bool:
    """Whether several arm joints (5,) saturate at -100 or 100 and none goes beyond."""
    farthest = np.maximum(np.abs(lower), np.abs(upper))
    at_end = np.abs(farthest - FULL_RANGE) <= SATURATED
    return bool(at_end.sum() >= SATURATED_JOINTS and (farthest <= FULL_RANGE + SATURATED).all())


def looks_like_radians(lower: np.ndarray, upper: np.ndarray) -> bool:
    """Whether no arm joint (5,) leaves half a turn in radians, which in degrees would be an arm that stands still."""
    farthest = np.maximum(np.abs(lower), np.abs(upper))
    return bool((farthest <= HALF_TURN).all() and farthest.max() > 0.0)


def _units_source(remembered: bool) -> str:
    return "--policy.units, by default degrees" if remembered else "LeRobot's default"


def _cameras(features: Mapping[str, Any]) -> list[str]:
    return [key.removeprefix(f"{OBS_IMAGES}.") for key, feature in features.items() if feature["dtype"] in IMAGES]


def _left_out(features: Mapping[str, Any]) -> str:
    others = dataset_facts.other_states(features)
    return f"; not used: {', '.join(others)}, which the arm's nodes do not give a policy" if others else ""


def _span(lower: np.ndarray, upper: np.ndarray) -> str:
    return f"{lower.min():.2f} … {upper.max():.2f}"
