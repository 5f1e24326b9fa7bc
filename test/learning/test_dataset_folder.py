"""Datasets that are not whole: one sentence each, before LeRobot reads them."""

import json
import shutil
from pathlib import Path

import pytest
from support.policies import swinging_dataset

from prana_ros.learning.dataset_folder import require_whole
from prana_ros.learning.datasets import open_dataset

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
        r"has no meta/stats\.json.*recompute_stats",
    ),
    "no joint data": (lambda folder: shutil.rmtree(folder / "data"), "lacks its joint data"),
    "no episodes' list": (lambda folder: shutil.rmtree(folder / "meta/episodes"), "lacks its episodes' list"),
    "no video": (lambda folder: shutil.rmtree(folder / "videos"), r"lacks the video of observation\.images\."),
    "pointer of joint data": (lambda folder: make_pointer(folder, "data/**/*.parquet"), "Git LFS.* git lfs pull"),
    "pointer of a video": (lambda folder: make_pointer(folder, "videos/**/*.mp4"), "Git LFS.* git lfs pull"),
    "pointer of the info": (lambda folder: make_pointer(folder, "meta/info.json"), "Git LFS.* git lfs pull"),
    "no JSON": (lambda folder: (folder / "meta/info.json").write_text("{"), "is not the JSON of a LeRobotDataset"),
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
    with pytest.raises(ValueError, match="lacks its joint data"):
        require_whole(folder)
