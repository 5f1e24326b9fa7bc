"""Closed-loop evaluation without ROS and without waiting: simulated time stands still while the policy thinks.

Chunks are played as the driver plays them: the same player, the same replacement rule, goals at the same rate.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prana_ros.simulation.scene import SceneDistribution, sample_scene
from prana_ros.simulation.task import TaskMonitor
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.figures import JOINT_NAMES
from prana_ros.so101.player import Player
from prana_ros.so101.trajectory import NANOSECONDS, Trajectory

CONTROL_RATE = 100
"""Servo goals a second: the driver's rate (Hz)."""
SETTLE_TIME = 0.4
_OWNER = "lockstep"


@dataclass(frozen=True)
class Observed:
    """What a policy sees at one time: joint state (6,) in rad, images (H, W, 3) uint8 RGB by camera name."""

    state: np.ndarray
    images: dict[str, np.ndarray]


Policy = Callable[[Sequence[Observed]], np.ndarray]
"""The last observations, 1/fps apart and the newest last, to joint positions (H, 6) in rad, the first at the time of
the newest observation and each further one 1/fps later."""


@dataclass(frozen=True)
class EpisodeOutcome:
    """How one episode ended."""

    seed: int
    outcome: str
    """``success`` or the class of the failure (see ``TaskMonitor``)."""
    duration: float
    """Simulated seconds until success, or until time was up."""
    chunks: int


def run_lockstep(
    policy: Policy,
    seeds: Iterable[int],
    distribution: SceneDistribution,
    *,
    fps: int = 10,
    execute_steps: int = 8,
    observation_steps: int = 1,
    time_limit: float = 15.0,
    camera_size: tuple[int, int] = (320, 240),
) -> Iterator[EpisodeOutcome]:
    """Run one episode per seed; yields each outcome as it is known.

    Args:
        policy: called with the last ``observation_steps`` observations.
        seeds: of the scenes; those below ``TRAINING_SEEDS`` were never seen in training.
        distribution: the scenes.
        fps: of the observations and of the actions in a chunk; must divide 100.
        execute_steps: how many steps of a chunk are executed before the next observation is acted upon.
        observation_steps: how many observations the policy takes.
        time_limit: simulated seconds after which an episode is a failure.
        camera_size: width and height of the pictures.

    Raises:
        ValueError: if ``fps`` does not divide the control rate, or ``execute_steps`` is not positive.
    """
    if fps < 1 or CONTROL_RATE % fps:
        raise ValueError(f"fps is {fps}; it must divide {CONTROL_RATE}")
    if execute_steps < 1:
        raise ValueError(f"execute_steps is {execute_steps}; it must be at least 1")
    world: World | None = None
    try:
        for seed in seeds:
            scene = sample_scene(distribution, seed)
            world = world or World(scene, camera_size)
            world.reset(scene)
            world.step(round(SETTLE_TIME / world.timestep))
            yield _run_episode(world, policy, fps, execute_steps, observation_steps, time_limit)
    finally:
        if world is not None:
            world.close()


def _run_episode(
    world: World, policy: Policy, fps: int, execute_steps: int, observation_steps: int, time_limit: float
) -> EpisodeOutcome:
    monitor = TaskMonitor(world)
    player = Player(world.goal)
    history: deque[Observed] = deque(maxlen=observation_steps)
    steps = round(1 / (CONTROL_RATE * world.timestep))
    begin, chunks = world.time, 0
    for tick in range(round(time_limit * CONTROL_RATE)):
        frame, between = divmod(tick * fps, CONTROL_RATE)
        # The driver's clock must not start at zero, which means "now" in a trajectory.
        now_ns = NANOSECONDS + tick * NANOSECONDS // CONTROL_RATE
        if between == 0:
            until_chunk = -frame % execute_steps
            if until_chunk < observation_steps:
                history.append(_observe(world))
                while len(history) < observation_steps:
                    history.append(history[0])
            if until_chunk == 0:
                player.accept(_trajectory(policy(list(history)), now_ns, fps), now_ns)
                chunks += 1
        world.goal = player.sample(now_ns)
        world.step(steps)
        if tick % 10 == 9 and monitor.update():
            break
    return EpisodeOutcome(world.scene.seed, monitor.outcome(), world.time - begin, chunks)


def _observe(world: World) -> Observed:
    snapshot = world.snapshot()
    return Observed(world.position, {camera: world.render(camera, snapshot) for camera in CAMERAS})


def _trajectory(positions: np.ndarray, start_ns: int, fps: int) -> Trajectory:
    return Trajectory(_OWNER, start_ns, JOINT_NAMES, np.arange(len(positions)) / fps, np.asarray(positions, float))
