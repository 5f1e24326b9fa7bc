"""Frames decoded once into a memory-mapped uint8 array at the model's size.

LeRobot decodes every frame from its video each time it is drawn; on a small machine that is what limits training.
The cache holds one (N, 3, s, s) uint8 file per camera, resized by the same code as the policy's. What training reads
is a :class:`prana_ros.datasets.cached_dataset.CachedDataset`.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from filelock import FileLock
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor
from tqdm import tqdm

from prana_ros.policies.vision import resize_images

DESCRIPTION = "frames.json"
LOCK = "lock"


def _description(dataset: LeRobotDataset, cameras: list[str], size: int, resize_mode: str) -> dict[str, Any]:
    """What must agree for a cache to be used: the dataset as it is now, and how the frames were resized."""
    # Not the images' own: the trainer replaces those by ImageNet's.
    statistics = {
        k: np.asarray(dataset.meta.stats[k]["mean"]).ravel().tolist()
        for k in (ACTION, OBS_STATE)
        if k in dataset.meta.stats
    }
    return {
        "dataset": dataset.repo_id,
        "frames": len(dataset),
        "episodes": dataset.episodes,
        "statistics": hashlib.sha256(json.dumps(statistics).encode()).hexdigest(),
        "cameras": cameras,
        "size": size,
        "resize_mode": resize_mode,
    }


def _to_uint8(images: Tensor, size: int, resize_mode: str) -> np.ndarray:
    return (resize_images(images, size, resize_mode) * 255).round().to(torch.uint8).numpy()


def _video_frames(path: Path, times: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    """The frames (h, w, 3) at ascending ``times`` (s) of one video, decoded from start to end.

    Raises:
        ValueError: if the video has no frame within ``tolerance`` of a time.
    """
    wanted = iter(times)
    time = next(wanted, None)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            if time is None:
                return
            if frame.time >= time - tolerance:
                if frame.time > time + tolerance:
                    break
                yield frame.to_ndarray(format="rgb24")
                time = next(wanted, None)
    if time is not None:
        raise ValueError(f"{path.name}: no frame within {tolerance} s of {time:.4f} s")


def _videos(dataset: LeRobotDataset, camera: str) -> dict[Path, tuple[list[int], list[float]]]:
    """For each video file of a camera: the dataset rows in it and their times in the file."""
    videos: dict[Path, tuple[list[int], list[float]]] = {}
    columns = dataset.hf_dataset.with_format("numpy")
    episodes = np.asarray(columns["episode_index"][:]).ravel()
    times = np.asarray(columns["timestamp"][:], np.float64).ravel()
    for row, (episode, time) in enumerate(zip(episodes.tolist(), times.tolist(), strict=True)):
        path = dataset.root / dataset.meta.get_video_file_path(episode, camera)
        rows, file_times = videos.setdefault(path, ([], []))
        rows.append(row)
        file_times.append(dataset.meta.episodes[episode][f"videos/{camera}/from_timestamp"] + time)
    return videos


def _frames(dataset: LeRobotDataset, camera: str) -> Iterator[tuple[int, Tensor]]:
    """(row, image (3, h, w) in [0, 1]) for every row of the dataset, in the quickest order."""
    if camera not in dataset.meta.video_keys:
        for row in range(len(dataset)):
            yield row, dataset.hf_dataset[row][camera]
        return
    tolerance = 0.5 / dataset.meta.fps
    for path, (rows, times) in _videos(dataset, camera).items():
        order = np.argsort(times)
        images = _video_frames(path, np.asarray(times)[order], tolerance)
        for index, image in zip(order.tolist(), images, strict=True):
            yield rows[index], torch.from_numpy(image).permute(2, 0, 1) / 255


def _require_space(folder: Path, frames: int, cameras: list[str], size: int) -> None:
    """Refuse to fill a disk: a memory-mapped file that finds none left ends the process without a word."""
    needed = frames * len(cameras) * 3 * size * size
    if needed > (free := shutil.disk_usage(folder).free):
        raise ValueError(
            f"{frames} frames of {len(cameras)} cameras at {size} x {size} take {needed / 1e9:.3g} GB in {folder}, "
            f"where {free / 1e9:.3g} GB are free"
        )


def _fill(folder: Path, dataset: LeRobotDataset, cameras: list[str], size: int, resize_mode: str) -> None:
    progress = tqdm(total=len(dataset) * len(cameras), desc="Decoding frames", unit="frame")
    for camera in cameras:
        # Replaced when complete: a training run that has the old file open goes on with what it began with.
        partial = folder / f"{camera}.npy.partial"
        array = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(dataset), 3, size, size))
        for row, image in _frames(dataset, camera):
            array[row] = _to_uint8(image[None], size, resize_mode)[0]
            progress.update()
        array.flush()
        partial.replace(folder / f"{camera}.npy")
    progress.close()


def open_frame_cache(
    dataset: LeRobotDataset, folder: Path, cameras: list[str], size: int, resize_mode: str
) -> dict[str, np.ndarray]:
    """The frames (N, 3, size, size) of each camera in ``folder``, uint8, memory-mapped, in the dataset's order.

    They are decoded first where they are missing or were made of another dataset or at another size. One process does
    this at a time; others that come meanwhile wait and then find it done.

    Raises:
        ValueError: if the dataset lacks a camera, a video lacks a frame or the disk has no room for them.
    """
    if unknown := set(cameras) - set(dataset.meta.camera_keys):
        known = ", ".join(dataset.meta.camera_keys) or "none"
        raise ValueError(f"the dataset has no camera {', '.join(sorted(unknown))}; its cameras: {known}")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK):
        description = _description(dataset, cameras, size, resize_mode)
        mark = folder / DESCRIPTION
        text = json.dumps(description, indent=2)
        if not mark.is_file() or mark.read_text() != text:
            _require_space(folder, len(dataset), cameras, size)
            mark.unlink(missing_ok=True)
            _fill(folder, dataset, cameras, size, resize_mode)
            mark.write_text(text)
        return {camera: np.lib.format.open_memmap(folder / f"{camera}.npy", "r") for camera in cameras}
