"""What training takes a dataset's joints, units and inputs to be, said before the first step: deployment must agree."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.configs.policies import PreTrainedConfig
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from prana_ros.policies import dataset_metadata
from prana_ros.policies.chunk_config import ChunkPolicyConfig
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import Units

FULL_RANGE = 100.0
"""Where each arm joint ends in units of -100 … 100."""
SATURATED = 0.01
"""Nearer than this to an end counts as at it: LeRobot clips to that, and degrees come so near by chance only."""
NAMES_SOURCE = "the dataset's action names"
UNITS_SOURCE = "by default; a dataset does not say them, --policy.units does"
HALF_TURN = np.pi
IMAGES = ("image", "video")
"""Types of a dataset's features that hold images."""
_ARM = slice(0, len(JOINT_NAMES) - 1)


@dataclass(frozen=True)
class DatasetDescription:
    """Lines that say what was taken for what and why, and warnings where the data speak against it."""

    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(dataset_meta: Any, policy: PreTrainedConfig, flags: Collection[str] = ()) -> DatasetDescription:
    """Describe a dataset as training with this policy takes it.

    Args:
        dataset_meta: LeRobot's, of the dataset.
        policy: as the trainer has it, options and checkpoint included.
        flags: the options that the user gave, without their dashes; with ``resume`` a run goes on as it began.

    Raises:
        ValueError: for a policy that no SO-101 could run, or a checkpoint that saw other data; one sentence.
    """
    own = dataset_metadata.joint_names(dataset_meta)
    remembered = isinstance(policy, ChunkPolicyConfig)
    chosen = list(policy.joint_names) if isinstance(policy, ChunkPolicyConfig) else []
    units = Units(policy.units) if isinstance(policy, ChunkPolicyConfig) else Units.DEGREES
    names = chosen or own
    saved = _saved(policy)
    if "resume" not in flags:
        _require_same_data(saved, flags, units, own)
    require_deployable(dataset_meta.features, names, own, remembered)
    _require_inputs(dataset_meta.features, policy)
    lines = [
        f"joints   {', '.join(names) or 'not named'} ({_source('joint_names', flags, saved, NAMES_SOURCE)})",
        f"units    {units.value}, gripper 0 to 100 ({_source('units', flags, saved, UNITS_SOURCE)})",
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


def _saved(policy: PreTrainedConfig) -> Mapping[str, Any]:
    """The configuration of the checkpoint that training begins with; empty without one, or one that is not here."""
    file = Path(policy.pretrained_path or "") / "config.json"
    return json.loads(file.read_text(encoding="utf-8")) if policy.pretrained_path and file.is_file() else {}


def _require_same_data(saved: Mapping[str, Any], flags: Collection[str], units: Units, own: Sequence[str]) -> None:
    """Refuse to go on from a checkpoint with joints or units that it was not trained on."""
    names = saved.get("joint_names") or []
    if names and own and list(own) != names and "policy.joint_names" not in flags:
        raise ValueError(
            f"the checkpoint's joints are {', '.join(names)}, the dataset's are {', '.join(own)}; if these are the "
            f"same joints in the same order, say --policy.joint_names=[{','.join(names)}]"
        )
    if saved.get("units", units.value) != units.value:
        raise ValueError(
            f"--policy.units is {units.value}, but the checkpoint was trained in {saved['units']}: its weights would "
            "read other numbers; train anew, or convert the dataset"
        )


def _require_inputs(features: Mapping[str, Any], policy: PreTrainedConfig) -> None:
    """Refuse inputs that the arm's nodes do not give, where the policy would not leave them out by itself."""
    others = dataset_metadata.other_states(features)
    taken = [key for key in others if not policy.input_features or key in policy.input_features]
    if taken and not isinstance(policy, ChunkPolicyConfig):
        wanted = {OBS_STATE: {"type": "STATE", "shape": list(features[OBS_STATE]["shape"])}}
        for key, feature in features.items():
            if feature["dtype"] in IMAGES:
                sides = dict(zip(feature["names"], feature["shape"], strict=True))
                shape = [sides.get("channels", sides.get("channel")), sides["height"], sides["width"]]
                wanted[key] = {"type": "VISUAL", "shape": shape}
        raise ValueError(
            f"the policy would take {', '.join(taken)}, which the arm's nodes do not give a policy; say "
            f"--policy.input_features='{json.dumps(wanted)}'"
        )


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
    state, action = (dataset_metadata.names_of(features, key) for key in (OBS_STATE, ACTION))
    if state and action and state != action:
        raise ValueError(
            f"the dataset's {OBS_STATE} has the joints {', '.join(state)}, its {ACTION} {', '.join(action)}; both must "
            "be the same joints in the same order"
        )


def unit_warnings(stats: Mapping[str, Any], units: Units) -> Iterator[str]:
    """Sentences where the smallest and largest values of the arm joints speak against the units."""
    for key in (ACTION, OBS_STATE):
        ends = stats.get(key, {})
        if "min" not in ends or "max" not in ends:
            continue
        lower, upper = np.asarray(ends["min"], dtype=float)[_ARM], np.asarray(ends["max"], dtype=float)[_ARM]
        if looks_like_m100_100(lower, upper) and units is Units.DEGREES:
            yield (
                f"{key}: an arm joint ends at -100 or 100 and none goes beyond, as in the units -100 … 100 of older "
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
    """Whether an arm joint (5,) saturates at -100 or 100 and none goes beyond."""
    farthest = np.maximum(np.abs(lower), np.abs(upper))
    at_end = np.abs(farthest - FULL_RANGE) <= SATURATED
    return bool(at_end.any() and (farthest <= FULL_RANGE + SATURATED).all())


def looks_like_radians(lower: np.ndarray, upper: np.ndarray) -> bool:
    """Whether no arm joint (5,) leaves half a turn in radians, which in degrees would be an arm that stands still."""
    farthest = np.maximum(np.abs(lower), np.abs(upper))
    return bool((farthest <= HALF_TURN).all() and farthest.max() > 0.0)


def _source(name: str, flags: Collection[str], saved: Mapping[str, Any], otherwise: str) -> str:
    return f"--policy.{name}" if f"policy.{name}" in flags else "the checkpoint's" if saved.get(name) else otherwise


def _cameras(features: Mapping[str, Any]) -> list[str]:
    return [key.removeprefix(f"{OBS_IMAGES}.") for key, feature in features.items() if feature["dtype"] in IMAGES]


def _left_out(features: Mapping[str, Any]) -> str:
    others = dataset_metadata.other_states(features)
    return f"; not used: {', '.join(others)}, which the arm's nodes do not give a policy" if others else ""


def _span(lower: np.ndarray, upper: np.ndarray) -> str:
    return f"{lower.min():.2f} … {upper.max():.2f}"
