"""What is wrong with a dataset's folder, in one sentence, before LeRobot reads it: its own errors hide the cause."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lerobot.datasets.dataset_metadata import CODEBASE_VERSION

INFO_FILE = Path("meta") / "info.json"
STATS_FILE = Path("meta") / "stats.json"
_LFS_POINTER = b"version https://git-lfs"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_CONVERT = "python -m lerobot.scripts.convert_dataset_v21_to_v30"


def require_whole(folder: Path, *, may_be_filled: bool = False) -> None:
    """Refuse a folder that has an info.json, but not a whole LeRobotDataset of this LeRobot's version.

    With ``may_be_filled`` files may be missing: LeRobot downloads them where it keeps datasets by their repo ids.

    Raises:
        ValueError: one sentence with the cure.
    """
    info = _read_info(folder)
    _require_version(folder, str(info.get("codebase_version")))
    if not info.get("total_episodes"):
        raise ValueError(f"the dataset {folder} has no episode: it was begun, and nothing was recorded or kept")
    if not (folder / STATS_FILE).is_file() and not may_be_filled:
        raise ValueError(
            f"the dataset {folder} has no {STATS_FILE}, the statistics that training normalizes by; make them with "
            f"lerobot-edit-dataset --repo_id=local/{folder.name} --root={folder} --operation.type=recompute_stats"
        )
    features = info.get("features", {})
    _require_image_names(folder, features)
    for part, pattern in _parts(features):
        files = sorted(folder.glob(pattern))
        if not files and not may_be_filled:
            raise ValueError(f"the dataset {folder} lacks {part}: there is no {pattern}; download or copy it whole")
        for file in files:
            _refuse_pointer(folder, file)


def _read_info(folder: Path) -> dict[str, Any]:
    file = folder / INFO_FILE
    _refuse_pointer(folder, file)
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is not the JSON of a LeRobotDataset: {' '.join(str(error).split())}") from error
    if not isinstance(info, dict):
        raise ValueError(f"{file} is not the JSON of a LeRobotDataset: it holds {type(info).__name__}, not an object")
    return info


def _require_version(folder: Path, version: str) -> None:
    match = _VERSION.match(version)
    if match is None:
        raise ValueError(f"the dataset {folder} has codebase_version {version}; {CODEBASE_VERSION} is needed")
    known = _VERSION.match(CODEBASE_VERSION)
    assert known is not None
    found, needed = tuple(map(int, match.groups())), tuple(map(int, known.groups()))
    if found[0] > needed[0]:
        raise ValueError(
            f"the dataset {folder} is of version {version}, written by a newer LeRobot; this one reads "
            f"{CODEBASE_VERSION}"
        )
    if found < needed:
        first = "" if found == (2, 1) else " (which reads v2.1; an older LeRobot converts to that)"
        raise ValueError(
            f"the dataset {folder} is of version {version}, and {CODEBASE_VERSION} is needed; convert it with "
            f"{_CONVERT} --repo-id=local/{folder.name} --root={folder} --push-to-hub=false{first}"
        )


def _require_image_names(folder: Path, features: Mapping[str, Any]) -> None:
    for key, feature in features.items():
        names, shape = feature.get("names"), feature.get("shape")
        if feature.get("dtype") in ("image", "video") and (not names or len(names) != len(shape)):
            raise ValueError(
                f"{folder / INFO_FILE} has names {names!r} for the image {key} of shape {shape}; each side must have "
                'its name, as in ["height", "width", "channels"]'
            )


def _parts(features: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each part of a whole dataset, and a pattern of its files."""
    yield "its episodes' list", "meta/episodes/**/*.parquet"
    yield "its joint data", "data/**/*.parquet"
    for key, feature in features.items():
        if feature.get("dtype") == "video":
            yield f"the video of {key}", f"videos/{key}/**/*.mp4"


def _refuse_pointer(folder: Path, file: Path) -> None:
    with file.open("rb") as content:
        if content.read(len(_LFS_POINTER)) == _LFS_POINTER:
            name = file.relative_to(folder)
            raise ValueError(
                f"{name} of the dataset {folder} is only Git LFS's pointer to the file; run git lfs pull there"
            )
