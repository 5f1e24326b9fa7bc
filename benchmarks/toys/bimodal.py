"""Two ways round an obstacle: demonstrations pass it on either side, and the observation does not tell on which.

A chunk is a path of 16 points in the plane, from (−1, 0) to (1, 0). The state and the image are always the same.
"""

from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class

import prana_ros.policies.registration  # noqa: F401 (LeRobot then knows the policies)
from prana_ros.policies.correlated_noise import ActionStatistics, fit_noise
from prana_ros.policies.flow_policy import FlowPolicy

POINTS = 16
OBSTACLE_RADIUS = 0.25
CAMERA = "observation.images.table"
IMAGE_SIDE = 32
WIDTHS = {"prana_v1": 64, "prana_v2": 64, "prana_v3": 96}
"""v3 is v2 with another backbone and width; the toy's images need no backbone."""


def demonstrations(pairs: int = 64, seed: int = 0) -> np.ndarray:
    """Paths (2·pairs, 16, 2): arcs of different height and lopsidedness, each with its mirror image."""
    rng = np.random.default_rng(seed)
    s = np.linspace(0, 1, POINTS)
    height, lean = rng.uniform(0.6, 0.9, (pairs, 1)), rng.uniform(-0.25, 0.25, (pairs, 1))
    y = height * (np.sin(np.pi * s) + lean * np.sin(2 * np.pi * s))
    x = np.broadcast_to(2 * s - 1, y.shape)
    above = np.stack([x, y], axis=-1)
    return np.concatenate([above, above * [1, -1]])


def observation(size: int) -> dict[str, torch.Tensor]:
    """The one observation there is, ``size`` times."""
    image = torch.full((size, 3, IMAGE_SIDE, IMAGE_SIDE), 0.5)
    return {"observation.state": torch.zeros(size, 2), CAMERA: image}


def statistics(paths: np.ndarray) -> ActionStatistics:
    """By which chunks are normalized."""
    return ActionStatistics.of(paths.mean((0, 1)), paths.std((0, 1)))


def small_policy(kind: str) -> Any:
    """A policy of one of our kinds, at a width that learns the toy in seconds."""
    values: dict[str, Any] = {
        "device": "cpu",
        "push_to_hub": False,
        "backbone": "small_cnn",
        "freeze_backbone": True,
        "image_size": IMAGE_SIDE,
        "dim": WIDTHS[kind],
        "num_heads": 2,
        "chunk_size": POINTS,
        "n_action_steps": POINTS,
        "input_features": {
            "observation.state": PolicyFeature(FeatureType.STATE, (2,)),
            CAMERA: PolicyFeature(FeatureType.VISUAL, (3, IMAGE_SIDE, IMAGE_SIDE)),
        },
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (2,))},
    }
    if kind == "prana_v1":
        values["num_encoder_layers"] = 2
    else:
        values |= {"num_context_layers": 1, "num_decoder_layers": 2, "flow_samples_per_context": 8}
    return get_policy_class(kind)(PreTrainedConfig.get_choice_class(kind)(**values))


def train(
    kind: str, paths: np.ndarray, *, steps: int = 400, batch: int = 8, learning_rate: float = 3e-3, seed: int = 0
) -> Any:
    """A policy of a kind with its averaged weights, trained on the paths of :func:`demonstrations`.

    Each batch has paths with their mirror images: where both ways are equally frequent the L1 loss is flat between
    them, and batches that are not balanced would push v1 to and fro there.
    """
    torch.manual_seed(seed)
    policy = small_policy(kind)
    normalization = statistics(paths)
    chunks = normalization.normalize(paths)
    if isinstance(policy, FlowPolicy):
        policy.noise.set_fit(fit_noise(chunks, POINTS, policy.config.noise_beta), normalization)
    actions = torch.tensor(chunks, dtype=torch.float32)
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    policy.train()
    for _ in range(steps):
        above = torch.randperm(len(actions) // 2)[: batch // 2]
        chosen = torch.cat([above, above + len(actions) // 2])
        loss, _ = policy({**observation(batch), "action": actions[chosen]})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        policy.update()
    with TemporaryDirectory() as folder:  # what a checkpoint deploys
        policy.save_pretrained(folder)
        return type(policy).from_pretrained(folder)


def sample(policy: Any, paths: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Paths (count, 16, 2) that a policy trained on ``paths`` predicts."""
    torch.manual_seed(seed)
    normalization = statistics(paths)
    chunks = policy.predict_action_chunk(observation(count)).double().numpy()
    return chunks * normalization.std + normalization.mean


def roughness(paths: np.ndarray) -> float:
    """Root mean square second difference of paths (n, 16, 2)."""
    return float(np.sqrt(np.square(np.diff(paths, n=2, axis=1)).mean()))


def passes_above(paths: np.ndarray) -> np.ndarray:
    """On which side of the obstacle each path (…, 16, 2) lies at half way."""
    return paths[..., POINTS // 2 - 1 : POINTS // 2 + 1, 1].mean(-1) > 0


def hits_obstacle(paths: np.ndarray) -> np.ndarray:
    """Whether each path (…, 16, 2) comes nearer to the origin than the obstacle's radius, between its points too."""
    fine = np.linspace(0, POINTS - 1, 10 * POINTS)
    low = np.minimum(fine.astype(int), POINTS - 2)
    weight = (fine - low)[:, None]
    points = (1 - weight) * paths[..., low, :] + weight * paths[..., low + 1, :]
    return np.linalg.norm(points, axis=-1).min(-1) < OBSTACLE_RADIUS
