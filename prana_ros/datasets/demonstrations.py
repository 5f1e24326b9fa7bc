"""Many demonstrations as one LeRobot dataset (v3), recorded by several processes.

Each process writes a dataset of its own, a shard, and LeRobot merges them: encoding and statistics cost more than the
simulation, and so they are shared out too. Everything happens in a hidden folder beside the new dataset, which is
moved to its place as the last thing of all: what was killed halfway never looks complete, and the next recording to the
same place removes it.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import av.logging
from datasets import disable_progress_bars
from filelock import FileLock, Timeout
from lerobot.datasets.aggregate import aggregate_datasets

from prana_ros.datasets.writer import VIDEO_FILE_SIZE, DemonstrationDataset
from prana_ros.simulation.demonstrations import record_demonstration
from prana_ros.simulation.driven_world import TICKS
from prana_ros.simulation.scene import DISTRIBUTIONS, TRAINING_SEEDS, Scene, SceneDistribution, sample_scene
from prana_ros.simulation.world import CAMERA_SIZE, World
from prana_ros.workers import WorkerError, share_out

LOCK = "lock"


@dataclass(frozen=True)
class Recording:
    """What is to be recorded."""

    distributions: tuple[SceneDistribution, ...]
    """Taken in turn, seed by seed; one that is named twice has twice the share."""
    fps: int = 10
    size: tuple[int, int] = CAMERA_SIZE
    """Width and height of the images."""
    seed: int = 0
    """First training seed, from ``TRAINING_SEEDS`` on."""
    plain: bool = False
    """The expert's one plain style, not people's."""

    def __post_init__(self) -> None:
        trainable = [name for name, distribution in DISTRIBUTIONS.items() if distribution.for_training]
        for distribution in self.distributions:
            if not distribution.for_training:
                raise ValueError(
                    f"scenes {distribution.name!r} are for reporting only and must never be trained on: "
                    f"choose from {', '.join(trainable)}"
                )
        width, height = self.size
        if width % 2 or height % 2 or not (2 <= width <= 1920 and 2 <= height <= 1080):
            raise ValueError(f"the camera size is {width}x{height}; both must be even, from 2x2 to 1920x1080")
        if self.fps < 1 or TICKS % self.fps:
            raise ValueError(f"fps is {self.fps}; it must divide {TICKS}")
        if self.seed < 0:
            raise ValueError(f"the first seed is {self.seed}; it must not be negative")

    def scene(self, index: int) -> Scene:
        """The scene of attempt ``index``, counted from 0."""
        seed = self.seed + index
        return sample_scene(self.distributions[seed % len(self.distributions)], TRAINING_SEEDS + seed)


@dataclass(frozen=True)
class Attempt:
    """One demonstration that was tried; it is in the dataset if its outcome is ``success``."""

    seed: int
    outcome: str


def make_demonstrations(
    recording: Recording, episodes: int, root: Path, repo_id: str, processes: int = 2
) -> Iterator[Attempt]:
    """Write ``episodes`` successful demonstrations to a new dataset at ``root``; yields each attempt as it ends.

    Process p of n tries scenes p, p + n, p + 2n, … until it has its share: the same number of processes gives the same
    dataset, and without failures any number gives the same episodes. Nothing is at ``root`` until everything is.

    Raises:
        ValueError: if ``root`` exists, or another process records to it.
        RuntimeError: if a process broke off.
    """
    if root.exists():
        raise ValueError(f"{root} exists already: demonstrations are written to a new folder")
    shares = [len(range(shard, episodes, processes)) for shard in range(min(processes, episodes))]
    with _workshop(root) as folder:
        shards = [folder / f"shard_{shard}" for shard in range(len(shares))]
        yield from _record_shards(recording, shares, shards)
        merged = folder / "merged"
        merge(shards, merged, repo_id)
        merged.rename(root)


@contextmanager
def _workshop(root: Path) -> Iterator[Path]:
    """A new folder beside ``root`` for this process alone; what a killed process left there is removed."""
    place = root.parent / f".{root.name}.recording"
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"another process is recording to {root}") from None
    try:
        # Processes whose parent was killed may still write there, for an episode: hence a new name each time.
        for leftover in set(place.iterdir()) - {place / LOCK}:
            shutil.rmtree(leftover, ignore_errors=True)
        yield Path(mkdtemp(dir=place))
    finally:
        shutil.rmtree(place)
        lock.release()


def merge(shards: Sequence[Path], root: Path, repo_id: str) -> None:
    """One dataset at ``root`` of those at ``shards``, their episodes in this order."""
    names = [shard.name for shard in shards]
    aggregate_datasets(names, repo_id, list(shards), root, video_files_size_in_mb=VIDEO_FILE_SIZE)


@dataclass(frozen=True)
class _Shard:
    """One process's part: every ``step``-th attempt from ``first`` on, until ``episodes`` are at ``root``."""

    first: int
    step: int
    episodes: int
    root: Path


def _record_shards(recording: Recording, shares: list[int], roots: list[Path]) -> Iterator[Attempt]:
    shards = [
        _Shard(first, len(shares), episodes, root)
        for first, (episodes, root) in enumerate(zip(shares, roots, strict=True))
    ]
    try:
        yield from share_out(partial(_record, recording), shards, len(shards), preload=__name__)
    except (ValueError, WorkerError) as error:
        raise RuntimeError(f"nothing was kept: {error}") from error


def _record(recording: Recording, shards: Sequence[_Shard]) -> Iterator[Attempt]:
    av.logging.set_libav_level(av.logging.ERROR)
    disable_progress_bars()
    with World(recording.scene(0), recording.size) as world:
        for shard in shards:
            dataset = DemonstrationDataset(shard.root, recording.fps, recording.size)
            numbers = count(shard.first, shard.step)
            while dataset.episodes < shard.episodes:
                scene = recording.scene(next(numbers))
                demonstration = record_demonstration(world, scene, recording.fps, plain=recording.plain)
                if demonstration.outcome == "success":
                    dataset.add(demonstration)
                yield Attempt(scene.seed, demonstration.outcome)
            dataset.close()
