"""Datasets that are not whole: one sentence each, before LeRobot reads them."""

import json
import shutil
from pathlib import Path

import pytest
from support.policies import swinging_dataset

from prana_ros.datasets.folder import require_whole
from prana_ros.datasets.opening import open_dataset

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def change_info(folder: Path, **changes) -> None:
    file = folder / "meta" / "info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def make_pointer(folder: Path, pattern: str) -> None:
    next(folder.glob(pattern)).write_text(POINTER)


def unname_images(folder: Path) -> None:
    file = folder / "meta" / "info.json"
    info = json.loads(file.read_text())
    for feature in info["features"].values():
        if feature["dtype"] == "video":
            feature["names"] = None
    file.write_text(json.dumps(info))


def forget_state(folder: Path) -> None:
    file = folder / "meta" / "stats.json"
    stats = json.loads(file.read_text())
    del stats["observation.state"]
    file.write_text(json.dumps(stats))


DAMAGES = {
    "version 2.1": (
        lambda folder: change_info(folder, codebase_version="v2.1"),
        r"of version v2.1, and v3.0 is needed; convert it with python -m lerobot\.scripts\.convert_dataset_v21",
    ),
    "version 1.6": (lambda folder: change_info(folder, codebase_version="v1.6"), "an older LeRobot converts to that"),
    "future": (
        lambda folder: change_info(folder, codebase_version="v4.0"),
        "written by a newer LeRobot; this one reads",
    ),
    "no version": (lambda folder: change_info(folder, codebase_version=None), "has codebase_version None; v3.0 is"),
    "no episode": (lambda folder: change_info(folder, total_episodes=0), "has no episode"),
    "no statistics": (
        lambda folder: (folder / "meta/stats.json").unlink(),
        r"has no meta/stats\.json .*recompute_stats",
    ),
    "no joint data": (lambda folder: shutil.rmtree(folder / "data"), r"lacks data/chunk-000/file-000\.parquet"),
    "no episodes' list": (lambda folder: shutil.rmtree(folder / "meta/episodes"), "lacks meta/episodes"),
    "no video": (
        lambda folder: shutil.rmtree(folder / "videos"),
        r"lacks videos/observation\.images\.\w+/chunk-000/file-000\.mp4 and 1 more",
    ),
    "pointer of joint data": (lambda folder: make_pointer(folder, "data/**/*.parquet"), "Git LFS.* git lfs pull"),
    "pointer of a video": (lambda folder: make_pointer(folder, "videos/**/*.mp4"), "Git LFS.* git lfs pull"),
    "pointer of the info": (lambda folder: make_pointer(folder, "meta/info.json"), "Git LFS.* git lfs pull"),
    "no JSON": (lambda folder: (folder / "meta/info.json").write_text("{"), "is not the JSON of a LeRobotDataset"),
    "no statistics of the state": (forget_state, r"no meta/stats\.json with statistics of observation\.state, by"),
    "statistics that are no JSON": (lambda folder: (folder / "meta/stats.json").write_text("["), r"stats\.json is not"),
    "pointer of statistics": (
        lambda folder: make_pointer(folder, "meta/stats.json"),
        r"meta/stats\.json .*git lfs pull",
    ),
    "pointer of the tasks": (
        lambda folder: make_pointer(folder, "meta/tasks.parquet"),
        r"tasks\.parquet .*git lfs pull",
    ),
    "no tasks": (lambda folder: (folder / "meta/tasks.parquet").unlink(), r"lacks meta/tasks\.parquet; download"),
    "a list that is no Parquet": (
        lambda folder: next(folder.glob("meta/episodes/**/*.parquet")).write_text("x" * 20),
        "is not a Parquet file",
    ),
    "unnamed images": (unname_images, r"has names None for the image observation\.images\."),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("dataset") / "whole"
    swinging_dataset(root, video=True)
    return root


def test_a_whole_dataset_is_opened(whole):
    require_whole(whole)
    assert len(open_dataset(str(whole))) > 0


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_dataset_that_is_not_whole_is_one_sentence(whole, tmp_path, damage):
    folder = tmp_path / "damaged"
    shutil.copytree(whole, folder)
    spoil, sentence = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(ValueError, match=sentence) as refused:
        open_dataset(str(folder))
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_lerobot_can_still_download_is_not_missed(whole, tmp_path):
    folder = tmp_path / "metadata_only"
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "data")
    shutil.rmtree(folder / "videos")
    require_whole(folder, may_be_filled=True)
    with pytest.raises(ValueError, match=r"lacks data/chunk-000/file-000\.parquet and 2 more"):
        require_whole(folder)
