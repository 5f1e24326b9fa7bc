"""Demonstrations of the scripted expert on the twin, one at a time.

The action of a frame is the commanded target at the frame's time, not what the arm reached: a proportional servo
needs the lead that the target carries. Two thirds of the episodes execute the target with added joint noise while
the clean one is recorded, so the policy sees how to come back.
"""

from dataclasses import dataclass

import numpy as np

from prana_ros.simulation.demonstration_style import PLAIN, draw_style
from prana_ros.simulation.driven_world import TICKS, DrivenWorld
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import Scene
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.model import REST_POSE

NOISE_SIGMA, NOISE_TIME = 0.03, 0.4
"""Ornstein-Uhlenbeck noise on the five arm joints: standard deviation (rad) and correlation time (s)."""
NOISY_SHARE = 2 / 3
START_SPREAD = 0.03
"""An episode starts this near the rest pose (rad, uniform)."""


@dataclass(frozen=True)
class Demonstration:
    """One episode of T frames: ``images`` by camera (T, H, W, 3) uint8, ``state`` and ``action`` (T, 6) in rad."""

    outcome: str
    images: dict[str, np.ndarray]
    state: np.ndarray
    action: np.ndarray


class JointNoise:
    """Ornstein-Uhlenbeck noise (6,) in rad, sampled at every tick; the gripper gets none."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._decay = float(np.exp(-1 / (NOISE_TIME * TICKS)))
        self._value = np.zeros(5)

    def sample(self) -> np.ndarray:
        """The noise (6,) of the next tick, rad."""
        kick = NOISE_SIGMA * np.sqrt(1 - self._decay**2)
        self._value = self._decay * self._value + kick * self._rng.standard_normal(5)
        return np.append(self._value, 0.0)


def record_demonstration(world: World, scene: Scene, fps: int, *, plain: bool = False) -> Demonstration:
    """Let the expert do ``scene`` in ``world`` and record it at ``fps``, whatever comes of it.

    The scene's seed decides everything. ``plain``: always in the same style, not in one of people's.
    """
    rng = np.random.default_rng((scene.seed, 1))
    expert = Expert(scene, PLAIN if plain else draw_style(np.random.default_rng((scene.seed, 2))))
    start = np.array(REST_POSE) + np.append(rng.uniform(-1, 1, 5) * START_SPREAD, 0.0)
    driven = DrivenWorld(world, scene, start)
    noise = JointNoise(rng) if rng.random() < NOISY_SHARE else None
    images: dict[str, list[np.ndarray]] = {camera: [] for camera in CAMERAS}
    state, action = [], []
    for tick in range(int(expert.duration * TICKS) + 1):
        time = tick / TICKS
        target = expert.target(time)
        if tick % round(TICKS / fps) == 0:
            snapshot = world.snapshot()
            for camera in CAMERAS:
                images[camera].append(world.render(camera, snapshot))
            state.append(world.position)
            action.append(target)
        driven.motion.aim(target if noise is None else target + expert.segment(time).noise * noise.sample())
        driven.step()
    stacked = {camera: np.stack(frames) for camera, frames in images.items()}
    return Demonstration(driven.monitor.outcome(), stacked, np.array(state), np.array(action))
