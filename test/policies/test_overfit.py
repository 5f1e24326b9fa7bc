"""Each version, at a small width, learns four recorded episodes of the twin by heart.

Two frames a second and chunks of two seconds: the chunks cover the episodes' whole movement. At ten frames a second
there are five times as many to learn, for the same movement, which would take v2 minutes instead of half a minute.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import get_policy_class, make_policy, make_pre_post_processors
from support.policies import FLOW_KINDS, KINDS, TABLE, WRIST, tiny_config, write_dataset

from prana_ros.datasets.cached_dataset import CachedDataset
from prana_ros.datasets.frame_cache import open_frame_cache
from prana_ros.simulation.demonstrations import record_demonstration
from prana_ros.simulation.scene import STANDARD, sample_scene
from prana_ros.simulation.task import TASK
from prana_ros.simulation.world import CAMERAS, World
from prana_ros.so101.units import radians_to_lerobot

FPS, HORIZON, IMAGE_SIZE = 2, 4, 32
STEPS = {"prana_v1": 400, "prana_v2": 550, "prana_v3": 550}
BATCH = {"prana_v1": 16, "prana_v2": 32, "prana_v3": 32}
LEARNING_RATE = {"prana_v1": 3e-3, "prana_v2": 5e-3, "prana_v3": 5e-3}
TOLERANCE = 1.0
"""Degrees; the gripper is counted alike, in its own units of 0 to 100."""


def demonstration(world: World, seed: int) -> Iterator[dict]:
    """The frames of what the expert does in a scene."""
    recorded = record_demonstration(world, sample_scene(STANDARD, seed), FPS, plain=True)
    assert recorded.outcome == "success"
    states, actions = (radians_to_lerobot(q).astype(np.float32) for q in (recorded.state, recorded.action))
    for state, action, table, wrist in zip(states, actions, *(recorded.images[c] for c in CAMERAS), strict=True):
        yield {"observation.state": state, "action": action, TABLE: table, WRIST: wrist, "task": TASK}


@pytest.fixture(scope="module")
def episodes(tmp_path_factory) -> CachedDataset:
    """Four demonstrations of the expert, as training reads them."""
    root = tmp_path_factory.mktemp("twin") / "four"
    with World(sample_scene(STANDARD, 0), camera_size=(64, 48)) as world:
        write_dataset(root, "test/four", (demonstration(world, seed) for seed in range(4)), FPS)
    ahead = {"action": [step / FPS for step in range(HORIZON)]}
    dataset = LeRobotDataset("test/four", root=root, delta_timestamps=ahead)
    frames = open_frame_cache(dataset, root.with_name("frames"), [TABLE, WRIST], IMAGE_SIZE, "stretch")
    return CachedDataset(dataset, frames)


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_config(kind: str):
    """A network of a few hundred thousand weights, without augmentation: here nothing is to be generalised."""
    options = {"flow_samples_per_context": 6, "allow_unfitted_noise": False} if kind in FLOW_KINDS else {}
    config = tiny_config(
        kind,
        chunk_size=HORIZON,
        n_action_steps=HORIZON,
        image_size=IMAGE_SIZE,
        dim=64,
        num_heads=4,
        ema_decay=0.99,
        optimizer_lr=LEARNING_RATE[kind],
        optimizer_backbone_lr_factor=1.0,
        scheduler_warmup_steps=30,
        random_crop={},
        random_rotation={},
        color_jitter={},
        **options,
    )
    config.input_features, config.output_features = {}, {}
    return config


def train(policy, preprocessor, episodes: CachedDataset, steps: int, batch: int) -> None:
    """LeRobot's training loop: its optimiser and scheduler, clipped gradients, then the policy's own update."""
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())
    scheduler = policy.config.get_scheduler_preset().build(optimizer, steps)
    policy.train()
    for _ in range(steps):
        loss, _ = policy(preprocessor(episodes.batch(torch.randint(len(episodes), (batch,)))))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), policy.config.optimizer_grad_clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        policy.update()


@pytest.mark.timeout(600)  # half a minute on a quiet machine
@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_four_episodes_of_the_twin_by_heart(kind, episodes, tmp_path, one_thread):
    torch.manual_seed(0)
    policy = make_policy(small_config(kind), ds_meta=episodes.meta)
    preprocessor, postprocessor = make_pre_post_processors(policy.config, dataset_stats=episodes.meta.stats)
    train(policy, preprocessor, episodes, STEPS[kind], BATCH[kind])
    policy.save_pretrained(tmp_path)

    averaged = get_policy_class(kind).from_pretrained(tmp_path, strict=True)
    recorded = episodes.batch(range(len(episodes)))
    torch.manual_seed(1)
    observed = preprocessor({key: value for key, value in recorded.items() if key.startswith("observation")})
    predicted = postprocessor(averaged.predict_action_chunk(observed))
    error = (predicted - recorded["action"]).abs()[~recorded["action_is_pad"]]
    assert recorded["action"].flatten(0, 1).std(0).min() > 5  # there is something to learn in every joint
    assert error.mean() < TOLERANCE, error.mean(0)
