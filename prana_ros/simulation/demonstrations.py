"""Demonstrations of the scripted expert on the twin, written as a LeRobot dataset (v3).

The action of a frame is the commanded target at the frame's time, not what the arm reached: a proportional servo
needs the lead that the target carries. Two thirds of the episodes execute the target with added joint noise while
the clean one is recorded, so the policy sees how to come back.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import TRAINING_SEEDS, SceneDistribution, sample_scene
from prana_ros.simulation.task import TASK, TaskMonitor
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.figures import JOINT_NAMES, REST_POSE
from prana_ros.so101.units import radians_to_lerobot

CONTROL_RATE = 100.0
"""Servo goals are set at the driver's rate (Hz)."""
NOISE_SIGMA, NOISE_TIME = 0.03, 0.4
"""Ornstein-Uhlenbeck noise on the five arm joints: standard deviation (rad) and correlation time (s)."""
NOISY_SHARE = 2 / 3
START_SPREAD = 0.03
"""An episode starts this near the rest pose (rad, uniform)."""
SETTLE_TIME = 0.4


@dataclass(frozen=True)
class Demonstration:
    """One episode of T frames: ``images`` by camera (T, H, W, 3) uint8, ``state`` and ``action`` (T, 6) in rad."""

    seed: int
    outcome: str
    images: dict[str, np.ndarray]
    state: np.ndarray
    action: np.ndarray


class JointNoise:
    """Ornstein-Uhlenbeck noise (6,) in rad, sampled at the control rate; the gripper gets none."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._decay = float(np.exp(-1 / (NOISE_TIME * CONTROL_RATE)))
        self._value = np.zeros(5)

    def sample(self) -> np.ndarray:
        """The noise (6,) of the next control step, rad."""
        kick = NOISE_SIGMA * np.sqrt(1 - self._decay**2)
        self._value = self._decay * self._value + kick * self._rng.standard_normal(5)
        return np.append(self._value, 0.0)


def record_demonstration(world: World, distribution: SceneDistribution, seed: int, fps: int) -> Demonstration:
    """Let the expert do the scene of ``seed`` in ``world`` and record it at ``fps``, whatever comes of it."""
    scene = sample_scene(distribution, seed)
    rng = np.random.default_rng((seed, 1))
    expert = Expert(scene)
    world.reset(scene)
    world.goal = np.array(REST_POSE) + np.append(rng.uniform(-1, 1, 5) * START_SPREAD, 0.0)
    steps = round(1 / (CONTROL_RATE * world.timestep))
    world.step(round(SETTLE_TIME * CONTROL_RATE) * steps)
    noise = JointNoise(rng) if rng.random() < NOISY_SHARE else None
    monitor = TaskMonitor(world)
    images: dict[str, list[np.ndarray]] = {camera: [] for camera in CAMERAS}
    state, action = [], []
    every = round(CONTROL_RATE / fps)
    for tick in range(int(expert.duration * CONTROL_RATE) + 1):
        time = tick / CONTROL_RATE
        target = expert.target(time)
        if tick % every == 0:
            snapshot = world.snapshot()
            for camera in CAMERAS:
                images[camera].append(world.render(camera, snapshot))
            state.append(world.position)
            action.append(target)
        world.goal = target if noise is None else target + expert.leg(time).noise * noise.sample()
        world.step(steps)
        if tick % 10 == 0:
            monitor.update()
    pictures = {camera: np.stack(frames) for camera, frames in images.items()}
    return Demonstration(seed, monitor.outcome(), pictures, np.array(state), np.array(action))


_worker_world: World | None = None


def _record_in_worker(distribution: SceneDistribution, seed: int, fps: int, size: tuple[int, int]) -> Demonstration:
    global _worker_world
    if _worker_world is None:
        _worker_world = World(sample_scene(distribution, seed), size)
    return record_demonstration(_worker_world, distribution, seed, fps)


def demonstrations(
    distribution: SceneDistribution, first_seed: int, fps: int, size: tuple[int, int], processes: int
) -> Generator[Demonstration, None, None]:
    """Endless demonstrations in the order of their seeds, recorded by ``processes`` processes ahead of the reader."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[Demonstration]] = deque()
        try:
            for seed in count(first_seed):
                waiting.append(pool.submit(_record_in_worker, distribution, seed, fps, size))
                if len(waiting) > processes:
                    yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def dataset_features(size: tuple[int, int]) -> dict[str, dict]:
    """The dataset's features as LeRobot records them from an SO-101, for pictures of ``size`` (width, height)."""
    width, height = size
    joints = {"dtype": "float32", "shape": (6,), "names": [f"{name}.pos" for name in JOINT_NAMES]}
    image = {"dtype": "video", "shape": (height, width, 3), "names": ["height", "width", "channels"]}
    return {
        "action": joints,
        "observation.state": dict(joints),
        **{f"observation.images.{camera}": dict(image) for camera in CAMERAS},
    }


class DemonstrationDataset:
    """A new LeRobot dataset at ``root`` that demonstrations are appended to. Close it, or it cannot be read."""

    def __init__(self, root: Path, repo_id: str, fps: int, size: tuple[int, int]) -> None:
        if root.exists():
            raise ValueError(f"{root} exists already: demonstrations are written to a new folder")
        self._dataset = LeRobotDataset.create(
            repo_id,
            fps,
            dataset_features(size),
            root=root,
            robot_type="so_follower",
            vcodec="h264",
            streaming_encoding=True,
            encoder_queue_maxsize=100_000,  # a full queue drops frames, and we are not in real time
        )

    def add(self, demonstration: Demonstration) -> None:
        """Append one episode, in LeRobot's units."""
        state = radians_to_lerobot(demonstration.state).astype(np.float32)
        action = radians_to_lerobot(demonstration.action).astype(np.float32)
        for index in range(len(state)):
            pictures = {f"observation.images.{name}": frames[index] for name, frames in demonstration.images.items()}
            self._dataset.add_frame(
                {"observation.state": state[index], "action": action[index], "task": TASK, **pictures}
            )
        self._dataset.save_episode()

    def close(self) -> None:
        """Write what is left and make the dataset readable."""
        self._dataset.finalize()


def make_demonstrations(
    distribution: SceneDistribution,
    episodes: int,
    root: Path,
    repo_id: str,
    *,
    fps: int = 10,
    size: tuple[int, int] = (320, 240),
    seed: int = 0,
    processes: int = 2,
) -> Iterator[Demonstration]:
    """Write ``episodes`` successful demonstrations to a new dataset; yields each one tried, successful or not.

    Seeds count upwards from ``TRAINING_SEEDS + seed``.
    """
    if CONTROL_RATE % fps:
        raise ValueError(f"fps is {fps}; it must divide {CONTROL_RATE:.0f}")
    dataset = DemonstrationDataset(root, repo_id, fps, size)
    kept = 0
    try:
        with closing(demonstrations(distribution, TRAINING_SEEDS + seed, fps, size, processes)) as recorded:
            while kept < episodes:
                demonstration = next(recorded)
                if demonstration.outcome == "success":
                    dataset.add(demonstration)
                    kept += 1
                yield demonstration
    finally:
        dataset.close()
