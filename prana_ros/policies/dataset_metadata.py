"""What a policy takes from its training dataset: names, rate, ranges, and the action episodes for the noise."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow.dataset
from lerobot.utils.constants import ACTION, OBS_STATE, OBS_STR

from prana_ros.policies.correlated_noise import ActionStatistics


def joint_names(dataset_meta: Any) -> list[str]:
    """Joint names in the action's order, without LeRobot's ``.pos`` suffix and the ``main_`` prefix of older releases;
    empty where the dataset names none."""
    return names_of(dataset_meta.features, ACTION)


def names_of(features: Mapping[str, Any], key: str) -> list[str]:
    """The joint names of one feature, cleared in the same way."""
    names = features[key].get("names") or []
    if isinstance(names, dict):  # older datasets group the names, e.g. {"motors": [...]}
        names = [name for group in names.values() for name in group]
    return [str(name).removesuffix(".pos").removeprefix("main_") for name in names]


def agreed_joint_names(chosen: list[str], dataset_meta: Any) -> list[str]:
    """The chosen names of the action's joints, of an option or a checkpoint; where none are chosen, the dataset's.

    Raises:
        ValueError: if the dataset has the same joints in another order, which the chosen names would hide.
    """
    own = joint_names(dataset_meta)
    if chosen and own != list(chosen) and sorted(own) == sorted(chosen):
        raise ValueError(f"joint_names is {', '.join(chosen)}, but the dataset's order is {', '.join(own)}")
    return list(chosen) or own


def other_states(features: Mapping[str, Any]) -> list[str]:
    """Observations of the robot beside ``observation.state``, such as ``observation.velocity``."""
    return [
        key
        for key, feature in features.items()
        if key.startswith(f"{OBS_STR}.") and key != OBS_STATE and feature["dtype"] not in ("image", "video", "string")
    ]


def action_statistics(dataset_meta: Any) -> ActionStatistics:
    """The statistics by which a policy trained on the dataset normalizes actions."""
    statistics = dataset_meta.stats[ACTION]
    return ActionStatistics.of(statistics["mean"], statistics["std"])


def state_range(dataset_meta: Any) -> tuple[list[float], list[float]]:
    """Smallest and largest ``observation.state`` of the dataset, in its units."""
    statistics = dataset_meta.stats[OBS_STATE]
    return [float(v) for v in statistics["min"]], [float(v) for v in statistics["max"]]


def normalized_action_episodes(dataset_meta: Any, statistics: ActionStatistics) -> Iterator[np.ndarray]:
    """Each episode's actions (T, A), normalized by the statistics, from the dataset's local parquet files.

    Raises:
        FileNotFoundError: if the dataset's data is not on this machine.
    """
    data = dataset_meta.root / "data"
    if not data.is_dir():
        raise FileNotFoundError(f"cannot fit the noise: the dataset {dataset_meta.repo_id} has no data at {data}")
    table = pyarrow.dataset.dataset(data, format="parquet").to_table(["episode_index", "index", ACTION])
    order = np.argsort(table["index"].to_numpy())
    episode = table["episode_index"].to_numpy()[order]
    actions = np.stack(table[ACTION].to_pylist()).astype(np.float64)[order]
    boundaries = np.flatnonzero(np.diff(episode)) + 1
    yield from np.split(statistics.normalize(actions), boundaries)
