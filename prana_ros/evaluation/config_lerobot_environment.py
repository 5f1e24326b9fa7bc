"""Registers the twin with LeRobot as the environment ``prana_twin``, and with gymnasium, which makes it.

Every LeRobot command imports this: what simulates is imported where an environment is made.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from prana_ros.simulation.task import TASK

GYM_ID = "prana_ros/TwinScrewdriver-v0"

gym.register(GYM_ID, "prana_ros.evaluation.environment:TwinEnvironment", max_episode_steps=150)


@EnvConfig.register_subclass("prana_twin")
@dataclass
class PranaTwinEnvConfig(EnvConfig):
    """The screwdriver task on the twin, as ``prana_ros.evaluation.environment`` has it.

    Attributes:
        task: what to do in words, for policies that read.
        fps: steps a second; must be the frame rate of the policy's training data, which LeRobot does not compare.
        scenes: ``standard``, ``hard`` or ``shifted``.
        time_limit: simulated seconds after which an episode is a failure.
        width, height: of the cameras' images.
        image_size: the images are stretched to squares of this side before the policy gets them. Only for policies
            whose image features are such squares, as ``train.py --frame_cache_size`` makes them; PRANA's stretch
            images themselves.
    """

    task: str = TASK
    fps: int = 10
    scenes: str = "standard"
    time_limit: float = 15.0
    width: int = 320
    height: int = 240
    image_size: int | None = None

    def __post_init__(self) -> None:
        from prana_ros.simulation.world import CAMERAS  # here: most LeRobot commands do not need MuJoCo

        width, height = (self.image_size, self.image_size) if self.image_size else (self.width, self.height)
        joints, image = (6,), PolicyFeature(FeatureType.VISUAL, (height, width, 3))
        self.features = {
            ACTION: PolicyFeature(FeatureType.ACTION, joints),
            "agent_pos": PolicyFeature(FeatureType.STATE, joints),
            **{f"pixels/{camera}": image for camera in CAMERAS},
        }
        self.features_map = {
            ACTION: ACTION,
            "agent_pos": OBS_STATE,
            **{f"pixels/{camera}": f"{OBS_IMAGES}.{camera}" for camera in CAMERAS},
        }

    @property
    def gym_id(self) -> str:
        """What gymnasium calls the environment."""
        return GYM_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """What gymnasium makes it with; ``ValueError`` if the time limit allows no step."""
        # Not in __post_init__, where LeRobot's parser would keep the sentence to itself.
        if (steps := round(self.time_limit * self.fps)) < 1:
            raise ValueError(f"time_limit is {self.time_limit} s at fps {self.fps}; it must be at least one frame")
        return {
            "scenes": self.scenes,
            "fps": self.fps,
            "camera_size": (self.width, self.height),
            "image_size": self.image_size,
            "task": self.task,
            "render_mode": "rgb_array",
            "max_episode_steps": steps,
        }
