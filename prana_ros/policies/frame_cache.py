"""Frames decoded once into a memory-mapped uint8 array at the model's size.

LeRobot decodes every frame from its video each time it is drawn; on a small machine that is what limits training.
The cache holds one (N, 3, s, s) uint8 file per camera, resized by the same code as the policy's, and the low-
dimensional columns in memory. :class:`CachedDataset` stands in for the ``LeRobotDataset`` it was made from.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.utils.constants import ACTION, OBS_PREFIX, OBS_STATE
from torch import Tensor
from tqdm import tqdm

from prana_ros.policies.vision import resize_images

DESCRIPTION = "frames.json"


def _description(dataset: LeRobotDataset, cameras: list[str], size: int, resize_mode: str) -> dict[str, Any]:
    """What must agree for a cache to be used: the dataset as it is now, and how the frames were resized."""
    # Not the images' own: the trainer replaces those by ImageNet's.
    statistics = {k: np.asarray(dataset.meta.stats[k]["mean"]).ravel().tolist() for k in (ACTION, OBS_STATE)}
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


def _fill(folder: Path, dataset: LeRobotDataset, cameras: list[str], size: int, resize_mode: str) -> None:
    progress = tqdm(total=len(dataset) * len(cameras), desc="Decoding frames", unit="frame")
    for camera in cameras:
        array = np.lib.format.open_memmap(folder / f"{camera}.npy", "w+", np.uint8, (len(dataset), 3, size, size))
        for row, image in _frames(dataset, camera):
            array[row] = _to_uint8(image[None], size, resize_mode)[0]
            progress.update()
        array.flush()
    progress.close()


def make_frame_cache(
    dataset: LeRobotDataset, folder: Path, cameras: list[str], size: int, resize_mode: str
) -> "CachedDataset":
    """Open the cache in ``folder``, (re)filling it if it is missing or was made of another dataset or size."""
    description = _description(dataset, cameras, size, resize_mode)
    mark = folder / DESCRIPTION
    if not mark.is_file() or json.loads(mark.read_text()) != description:
        folder.mkdir(parents=True, exist_ok=True)
        mark.unlink(missing_ok=True)
        _fill(folder, dataset, cameras, size, resize_mode)
        mark.write_text(json.dumps(description, indent=2))
    frames = {c: np.lib.format.open_memmap(folder / f"{c}.npy", "r") for c in cameras}
    return CachedDataset(dataset, frames)


class CachedDataset(torch.utils.data.Dataset):
    """A ``LeRobotDataset`` whose images come from a frame cache, as uint8, and whose other columns are in memory."""

    def __init__(self, dataset: LeRobotDataset, frames: dict[str, np.ndarray]):
        self.meta = dataset.meta
        self.episodes = dataset.episodes
        self.num_frames = dataset.num_frames
        self.num_episodes = dataset.num_episodes
        self._frames = frames
        columns = dataset.hf_dataset.with_format("numpy")
        low_dimensional = [
            k for k in dataset.meta.features if k.startswith(OBS_PREFIX) and k not in dataset.meta.camera_keys
        ]
        self._columns = {k: torch.from_numpy(np.stack(columns[k][:])).float() for k in [*low_dimensional, ACTION]}
        episode = np.asarray(columns["episode_index"][:]).ravel()
        self._last = np.searchsorted(episode, episode, side="right") - 1  # last row of each row's episode
        self._task_index = np.asarray(columns["task_index"][:]).ravel()
        self._steps = torch.tensor(dataset.reader.delta_indices[ACTION])

    def __len__(self) -> int:
        return self.num_frames

    def __getitem__(self, index: int) -> dict[str, Any]:
        steps = index + self._steps
        last = int(self._last[index])
        item: dict[str, Any] = {key: column[index] for key, column in self._columns.items() if key != ACTION}
        item[ACTION] = self._columns[ACTION][steps.clamp(max=last)]
        item[f"{ACTION}_is_pad"] = steps > last
        for camera, frames in self._frames.items():
            item[camera] = torch.from_numpy(frames[index].copy())
        item["task"] = self.meta.tasks.iloc[self._task_index[index]].name
        return item
