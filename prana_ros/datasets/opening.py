"""Datasets by folder or by name."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.utils.constants import HF_LEROBOT_HOME

from prana_ros.datasets.folder import INFO_FILE, require_whole


def open_dataset(name: str, **options: Any) -> LeRobotDataset:
    """A dataset in a local folder, or by its repo id as LeRobot finds it: in ``HF_LEROBOT_HOME``, or else on the hub.

    Args:
        name: a path, or ``owner/dataset``.
        options: of ``LeRobotDataset``.

    Raises:
        ValueError: one sentence if it is neither, or not whole.
    """
    if (Path(name) / INFO_FILE).is_file():
        require_whole(Path(name))
        return LeRobotDataset(f"local/{Path(name).resolve().name}", root=name, **options)
    if Path(name).is_dir() or name.count("/") != 1:
        raise ValueError(f"{name!r} is no dataset: give a folder with {INFO_FILE}, or a repo id like owner/dataset")
    require_usable(name)
    with one_sentence_if_missing(name):
        return LeRobotDataset(name, **options)


def require_usable(repo_id: str, root: str | Path | None = None) -> None:
    """Refuse what is here of a dataset if LeRobot cannot use it; what is not here is LeRobot's to download.

    Raises:
        ValueError: one sentence with the cure.
    """
    folder = Path(root) if root else HF_LEROBOT_HOME / repo_id
    if (folder / INFO_FILE).is_file():
        require_whole(folder, may_be_filled=root is None)


@contextmanager
def one_sentence_if_missing(name: str) -> Iterator[None]:
    """Around what opens a dataset.

    Raises:
        ValueError: instead of what LeRobot and the hub's library raise for a dataset that cannot be had.
    """
    try:
        yield
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{name!r} is neither a folder here, nor a dataset in {HF_LEROBOT_HOME}, nor one that can be downloaded: "
            f"{reason}"
        ) from error


def require_episodes(option: str, episodes: Iterable[int], name: str, total: int) -> None:
    """Refuse an option that names an episode which a dataset of ``total`` episodes lacks.

    Raises:
        ValueError: if it does.
    """
    if unknown := sorted(set(episodes) - set(range(total))):
        raise ValueError(f"{option} names {unknown[0]}; {name} has 0 to {total - 1}")
