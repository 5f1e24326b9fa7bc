"""What a checkpoint's config.json says of its features: that they are such as LeRobot feeds to a policy."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.utils.constants import OBS_IMAGES

_FIELDS = tuple(entry.name for entry in fields(PolicyFeature))
_CHANNELS = (1, 3)


def feature_problems(content: dict[str, Any]) -> list[str]:
    """What is wrong with the features of a config.json, as clauses to follow its name; empty if nothing is."""
    problems: list[str] = []
    for group in ("input_features", "output_features"):
        features = content.get(group)
        if not isinstance(features, dict) or not features:
            problems.append(f"has no {group}; a policy's inputs and outputs must be named")
            continue
        for key, feature in features.items():
            problems += _problems(key, feature)
    return problems


def _problems(key: str, feature: Any) -> Iterator[str]:
    if not isinstance(feature, dict):
        yield f"has {feature!r} for {key}; a type and a shape are needed"
        return
    if unknown := [name for name in feature if name not in _FIELDS]:
        yield f"has {', '.join(unknown)} in {key}, which LeRobot does not read there; remove it"
    kinds = [kind.value for kind in FeatureType]
    if feature.get("type") not in kinds:
        yield f"has the type {feature.get('type')!r} for {key}; allowed: {', '.join(kinds)}"
        return
    shape = feature.get("shape")
    if not isinstance(shape, list) or not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        yield f"has the shape {shape!r} for {key}; a list of sizes is needed"
    elif feature["type"] == FeatureType.VISUAL.value:
        yield from _image_problems(key, shape)


def _image_problems(key: str, shape: list[int]) -> Iterator[str]:
    if not key.startswith("observation."):
        yield f"has the image {key!r}; LeRobot passes it on only under a name like {OBS_IMAGES}.{key}"
    if len(shape) != 3:
        yield f"has the shape {shape} for {key}; (channels, height, width) is needed"
    elif shape[0] not in _CHANNELS:
        turned = f": {[shape[2], *shape[:2]]}" if shape[2] in _CHANNELS else ""
        yield f"has the shape {shape} for {key}; channels first is needed{turned}"
