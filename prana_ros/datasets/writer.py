"""Demonstrations on the twin as a LeRobot dataset (v3), with the features that LeRobot records from an SO-101."""

from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from prana_ros.simulation.demonstrations import Demonstration
from prana_ros.simulation.task import TASK
from prana_ros.simulation.world import CAMERAS
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import radians_to_lerobot

VIDEO_FILE_SIZE = 8
"""Megabytes of a video file. LeRobot rewrites the whole file for each episode that it appends, so that with its own
200 MB an episode would take longer and longer."""


def dataset_features(size: tuple[int, int]) -> dict[str, dict]:
    """The dataset's features as LeRobot records them from an SO-101, for images of ``size`` (width, height)."""
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

    def __init__(self, root: Path, fps: int, size: tuple[int, int]) -> None:
        self._dataset = LeRobotDataset.create(
            root.name,
            fps,
            dataset_features(size),
            root=root,
            robot_type="so_follower",
            vcodec="h264",
            streaming_encoding=True,
            encoder_threads=1,  # the processes share the cores out already
            encoder_queue_maxsize=100_000,  # a full queue drops frames, and we are not in real time
        )
        self._dataset.meta.update_chunk_settings(video_files_size_in_mb=VIDEO_FILE_SIZE)

    @property
    def episodes(self) -> int:
        """How many there are."""
        return self._dataset.num_episodes

    def add(self, demonstration: Demonstration) -> None:
        """Append one episode, in LeRobot's units."""
        state = radians_to_lerobot(demonstration.state).astype(np.float32)
        action = radians_to_lerobot(demonstration.action).astype(np.float32)
        for index in range(len(state)):
            images = {f"observation.images.{name}": frames[index] for name, frames in demonstration.images.items()}
            self._dataset.add_frame(
                {"observation.state": state[index], "action": action[index], "task": TASK, **images}
            )
        self._dataset.save_episode()

    def close(self) -> None:
        """Write what is left and make the dataset readable."""
        self._dataset.finalize()
