"""What is wrong with a dataset's folder, in one sentence, before LeRobot reads it: its own errors hide the cause."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from lerobot.datasets.dataset_metadata import CODEBASE_VERSION
from lerobot.utils.constants import ACTION, OBS_STATE

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
    _refuse_pointer(folder, folder / INFO_FILE)
    info = _read_object(folder / INFO_FILE)
    _require_version(folder, str(info.get("codebase_version")))
    if not info.get("total_episodes"):
        raise ValueError(f"the dataset {folder} has no episode: it was begun, and nothing was recorded or kept")
    features = info.get("features", {})
    _require_image_names(folder, features)
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".json", ".parquet", ".mp4"):
            _refuse_pointer(folder, file)
    if not may_be_filled:
        _require_statistics(folder)
        _require_files(folder, info)


def _read_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is not the JSON of a LeRobotDataset: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} is not the JSON of a LeRobotDataset: it is of type {type(content).__name__}")
    return content


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


def _require_statistics(folder: Path) -> None:
    stats = _read_object(folder / STATS_FILE) if (folder / STATS_FILE).is_file() else {}
    missing = [key for key in (OBS_STATE, ACTION) if key not in stats]
    if missing:
        raise ValueError(
            f"the dataset {folder} has no {STATS_FILE} with statistics of {' and '.join(missing)}, by which training "
            f"normalizes; make them with lerobot-edit-dataset --repo_id=local/{folder.name} --root={folder} "
            "--operation.type=recompute_stats"
        )


def _require_files(folder: Path, info: Mapping[str, Any]) -> None:
    """Refuse a dataset that lacks a file which its list of episodes names."""
    lists = sorted((folder / "meta" / "episodes").rglob("*.parquet"))
    needed = {folder / "meta" / "tasks.parquet"} | ({folder / "meta" / "episodes"} if not lists else set())
    for episodes in lists:
        needed |= {folder / path for path in _files_of(_columns(episodes), info)}
    missing = sorted(str(path.relative_to(folder)) for path in needed if not path.exists())
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"the dataset {folder} lacks {missing[0]}{others}; download or copy it whole")


def _columns(episodes: Path) -> dict[str, list[Any]]:
    try:
        table = pyarrow.parquet.ParquetFile(episodes)
        names = [name for name in table.schema_arrow.names if name.endswith(("/chunk_index", "/file_index"))]
        return table.read(columns=names).to_pydict()
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"{episodes} is not a Parquet file: {' '.join(str(error).split())}") from error


def _files_of(columns: Mapping[str, list[Any]], info: Mapping[str, Any]) -> Iterator[str]:
    """Paths of data and videos, from the columns ``data/chunk_index``, ``videos/KEY/chunk_index`` and the like."""
    for column in columns:
        part = column.removesuffix("/chunk_index")
        if part == column or part.startswith("meta/"):
            continue
        template = info["data_path"] if part == "data" else info["video_path"]
        key = part.removeprefix("videos/")
        for chunk, file in set(zip(columns[column], columns[f"{part}/file_index"], strict=True)):
            yield template.format(video_key=key, chunk_index=chunk, file_index=file)


def _refuse_pointer(folder: Path, file: Path) -> None:
    with file.open("rb") as content:
        if content.read(len(_LFS_POINTER)) == _LFS_POINTER:
            name = file.relative_to(folder)
            raise ValueError(
                f"{name} of the dataset {folder} is only Git LFS's pointer to the file; run git lfs pull there"
            )
