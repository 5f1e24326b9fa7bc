"""The twin as a gymnasium environment, in the units and with the images of the datasets that policies learn from.

Simulated time stands still between steps. A step is one frame: the servos' goal runs straight from the last action to
the new one while the frame lasts, as the driver plays a trajectory whose next point arrives one frame ahead, within the
driver's limits.
"""

import atexit
from typing import Any

import gymnasium as gym
import numpy as np

from prana_ros.evaluation.policy_view import stretched
from prana_ros.simulation.driven_world import TICKS, DrivenWorld
from prana_ros.simulation.scene import TRAINING_SEEDS, sample_scene, scene_distribution
from prana_ros.simulation.task import TASK
from prana_ros.simulation.world import CAMERA_SIZE, CAMERAS, World
from prana_ros.so101.model import JOINT_NAMES, JOINTS
from prana_ros.so101.trajectory import Trajectory
from prana_ros.so101.units import lerobot_to_radians, radians_to_lerobot

Observation = dict[str, Any]

JOINT_LIMITS = radians_to_lerobot([[joint.lower for joint in JOINTS], [joint.upper for joint in JOINTS]])
"""Least and largest joint targets (2, 6) in LeRobot's units."""


class TwinEnvironment(gym.Env[Observation, np.ndarray]):
    """One SO-101 that is to put a screwdriver into a box; LeRobot's units are degrees, and 0 … 100 for the gripper.

    - Observation: ``agent_pos`` (6,) float32, the joints in LeRobot's units, and ``pixels``, by camera (H, W, 3)
      uint8 RGB.
    - Action: (6,) joint targets in LeRobot's units; what lies beyond a joint's limits is taken for the limit.
    - Reward: 1 at success, which ends the episode, else 0. The time limit is gymnasium's ``TimeLimit``.
    - Info: ``is_success``; ``outcome``, of an episode that would end now (see ``TaskMonitor``); ``scene_seed``.

    Seeds are those of ``prana_ros.simulation.scene``: the same seed is the same scene in every evaluation.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (as gymnasium has it)

    def __init__(
        self,
        scenes: str = "standard",
        fps: int = 10,
        camera_size: tuple[int, int] = CAMERA_SIZE,
        image_size: int | None = None,
        task: str = TASK,
        render_mode: str | None = None,
    ) -> None:
        """
        Args:
            scenes: name of the distribution that scenes are drawn from.
            fps: steps a second; must divide the driver's rate.
            camera_size: width and height of what the cameras see.
            image_size: the images are stretched to squares of this side, by the code that does it in training;
                None: they stay as they are.
            task: what to do in words, for policies that read.
            render_mode: ``rgb_array``, or None: nothing is shown.

        Raises:
            ValueError: if an argument is none of what is allowed.
        """
        if fps < 1 or TICKS % fps:
            raise ValueError(f"fps is {fps}; it must divide {TICKS}")
        for name, value in (("width", camera_size[0]), ("height", camera_size[1]), ("image_size", image_size)):
            if value is not None and value < 8:
                raise ValueError(f"{name} of the images is {value}; it must be at least 8")
        self.task = self.task_description = task
        self.render_mode = render_mode
        self.metadata = {**type(self).metadata, "render_fps": fps}
        self._distribution = scene_distribution(scenes)
        self._camera_size, self._image_size = camera_size, image_size
        self._frame_ticks = TICKS // fps
        self._world: World | None = None
        self._images: dict[str, np.ndarray] = {}
        self.action_space = gym.spaces.Box(*JOINT_LIMITS.astype(np.float32), dtype=np.float32)
        self.observation_space = _observation_space(camera_size, image_size)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Lay out the scene of ``seed``; without one, of a seed that is drawn.

        Raises:
            ValueError: if the seed is one of training.
        """
        if seed is not None and not 0 <= seed < TRAINING_SEEDS:
            raise ValueError(
                f"the scene's seed is {seed}; it must be from 0 to {TRAINING_SEEDS - 1}: those above are for training"
            )
        super().reset(seed=seed)
        scene = sample_scene(self._distribution, int(self.np_random.integers(TRAINING_SEEDS)) if seed is None else seed)
        if self._world is None:
            self._world = World(scene, self._camera_size)
            # LeRobot closes nothing when it fails, and a renderer that is open at the end of Python buries the error
            # under its own. MuJoCo must have drawn before: what it has to do at the end comes after what is named now.
            self._world.render(CAMERAS[0])
            atexit.register(self.close)
        self._driven = DrivenWorld(self._world, scene)
        return self._observe(self._world), self._info(scene.seed)

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one action (6,) for one frame; see the class for what comes back.

        Raises:
            ValueError: if the action is not six finite numbers.
            RuntimeError: before the first reset.
        """
        if self._world is None:
            raise RuntimeError("the environment has no scene yet: call reset() before step()")
        action = np.asarray(action, dtype=np.float64)
        if action.shape != self.action_space.shape or not np.isfinite(action).all():
            raise ValueError(f"an action is 6 finite joint targets in LeRobot's units, not {action.tolist()}")
        self._play(lerobot_to_radians(np.clip(action, *JOINT_LIMITS)))
        info = self._info(self._world.scene.seed)
        return self._observe(self._world), float(info["is_success"]), info["is_success"], False, info

    def render(self) -> np.ndarray | None:
        """What the cameras saw last, side by side: (height, 2 width, 3) uint8 RGB, whatever ``image_size`` is."""
        return np.hstack([self._images[camera] for camera in CAMERAS]) if self.render_mode else None

    def close(self) -> None:
        """Free the renderer; must be called by the thread that made the steps."""
        if self._world is not None:
            atexit.unregister(self.close)
            self._world.close()
            self._world = None

    def _play(self, target: np.ndarray) -> None:
        driven, frame = self._driven, np.array([self._frame_ticks / TICKS])
        driven.motion.accept(Trajectory("", driven.now_ns, JOINT_NAMES, frame, target[None]), driven.now_ns)
        for _ in range(self._frame_ticks):
            driven.step()

    def _observe(self, world: World) -> Observation:
        snapshot = world.snapshot()
        self._images = {camera: world.render(camera, snapshot) for camera in CAMERAS}
        pixels = {camera: stretched(image, self._image_size) for camera, image in self._images.items()}
        return {"agent_pos": radians_to_lerobot(world.position).astype(np.float32), "pixels": pixels}

    def _info(self, seed: int) -> dict[str, Any]:
        monitor = self._driven.monitor
        return {"is_success": monitor.success, "outcome": monitor.outcome(), "scene_seed": seed}


def _observation_space(camera_size: tuple[int, int], image_size: int | None) -> gym.spaces.Dict:
    width, height = (image_size, image_size) if image_size else camera_size
    image = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
    # A joint that is pushed yields a little beyond its limits, all of which are below half a turn.
    joints = gym.spaces.Box(-180.0, 180.0, (len(JOINTS),), np.float32)
    return gym.spaces.Dict({"agent_pos": joints, "pixels": gym.spaces.Dict(dict.fromkeys(CAMERAS, image))})
