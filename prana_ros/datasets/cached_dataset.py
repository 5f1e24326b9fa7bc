"""A LeRobot dataset read from memory: whole batches by index, images from a frame cache.

LeRobot builds a batch from items, and each item from a table and a video. Here a batch is a few indexing operations,
on the host or, for the images, on the training device.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map

COPIED_AT_A_TIME = 1024


@dataclass(frozen=True)
class _Batch:
    """A batch that is collated already, as PyTorch's default collation sees it: the only item of its list."""

    content: dict[str, Any]


default_collate_fn_map[_Batch] = lambda batches, *, collate_fn_map=None: batches[0].content


class CachedDataset(torch.utils.data.Dataset):
    """Stands in for the ``LeRobotDataset`` it was made from: equal items, but images of the cache's size.

    Numeric columns are kept in memory. The dataset's delta timestamps are honoured as LeRobot does: steps outside an
    episode repeat its first or last frame and are marked in ``<key>_is_pad``.

    With ``device`` the frames are copied there once. The dataset's batches then hold row numbers in place of images,
    and :meth:`with_images` puts the images there, after the batch was brought to the device: what passes through
    workers and pinned memory stays small.
    """

    def __init__(
        self,
        dataset: LeRobotDataset,
        frames: Mapping[str, np.ndarray],
        *,
        as_float: bool = False,
        device: torch.device | None = None,
    ):
        """
        Args:
            frames: of each camera (N, 3, s, s), uint8, in the dataset's order.
            as_float: deliver images as float in [0, 1], as LeRobot does, instead of uint8.
            device: where the frames are kept; None leaves them where they are.
        """
        self.meta = dataset.meta
        self.episodes = dataset.episodes
        self.num_frames = dataset.num_frames
        self.num_episodes = dataset.num_episodes
        self._as_float = as_float
        self._in_memory = device is not None
        self._frames = {key: _copy(array, device) if device else array for key, array in frames.items()}
        self._columns = _numeric_columns(dataset)
        self._tasks = list(dataset.meta.tasks.index)
        episode = self._columns["episode_index"].numpy()
        self._first = torch.from_numpy(np.searchsorted(episode, episode, side="left"))
        self._last = torch.from_numpy(np.searchsorted(episode, episode, side="right") - 1)
        self._deltas = {key: torch.tensor(steps) for key, steps in (dataset.reader.delta_indices or {}).items()}

    def __len__(self) -> int:
        return self.num_frames

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One item, images included; negative indices count from the end."""
        return {key: values[0] for key, values in self.batch([range(len(self))[index]]).items()}

    def __getitems__(self, indices: Sequence[int]) -> list[_Batch]:
        """What PyTorch's data loader calls for a whole batch."""
        return [_Batch(self._without_images(indices) if self._in_memory else self.batch(indices))]

    def batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """The collated items of some rows, images included."""
        return self.with_images(self._without_images(indices))

    def with_images(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch of this dataset with images in place of their row numbers, on the batch's device.

        They are picked where the frames are. A batch that has its images is returned as it is.
        """
        images = {}
        for camera, frames in self._frames.items():
            rows = batch[camera]
            if rows.dtype is not torch.long:
                return batch
            if isinstance(frames, Tensor):
                chosen = frames[rows.to(frames.device)].to(rows.device)
            else:
                chosen = torch.from_numpy(frames[rows.numpy()])
            images[camera] = chosen.float() / 255 if self._as_float else chosen
        return {**batch, **images}

    def _without_images(self, indices: Sequence[int]) -> dict[str, Any]:
        """The collated items with the rows of the images, (B,) or (B, steps), in place of the images."""
        at = torch.as_tensor(indices)
        batch: dict[str, Any] = {}
        for key in (*self._columns, *self._frames):
            rows = at
            if key in self._deltas:
                wanted = at[:, None] + self._deltas[key]
                first, last = self._first[at, None], self._last[at, None]
                rows = wanted.clamp(first, last)
                batch[f"{key}_is_pad"] = rows != wanted
            if key in self._frames:
                # LeRobot drops the time axis of a single decoded frame, though not of anything else.
                single = key in self.meta.video_keys and rows.shape[1:] == (1,)
                batch[key] = rows[:, 0] if single else rows
            else:
                batch[key] = self._columns[key][rows]
        batch["task"] = [self._tasks[i] for i in self._columns["task_index"][at].tolist()]
        return batch


def _numeric_columns(dataset: LeRobotDataset) -> dict[str, Tensor]:
    """All columns that hold numbers, in the types that LeRobot's items have."""
    table = dataset.hf_dataset.with_format("numpy")
    columns = {}
    for key in dataset.meta.features:
        if key in dataset.meta.camera_keys:
            continue
        values = np.stack(table[key][:])
        if values.dtype.kind == "f":
            columns[key] = torch.from_numpy(values.astype(np.float32))
        elif values.dtype.kind == "b":
            columns[key] = torch.from_numpy(values)
        elif values.dtype.kind in "iu":
            columns[key] = torch.from_numpy(values.astype(np.int64))
    return columns


def _copy(frames: np.ndarray, device: torch.device) -> Tensor:
    """The frames on a device, without a second whole copy on the host."""
    copy = torch.empty(frames.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(frames), COPIED_AT_A_TIME):
        part = slice(start, start + COPIED_AT_A_TIME)
        copy[part] = torch.from_numpy(frames[part].copy())
    return copy


def fits_on(device: torch.device, frames: Mapping[str, np.ndarray]) -> bool:
    """Whether a CUDA device has at least twice the memory free that the frames would take."""
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * sum(array.nbytes for array in frames.values()) <= free
