"""Parameters of PRANA v1, v2 and v3 as they are by default, for two cameras and six joints."""

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class
from torch import nn

import prana_ros.policies.registration  # noqa: F401 (LeRobot then knows the policies)
from benchmarks.harness import Figure, write_result

GOALS = {"prana_v2": (11.0, 12.0), "prana_v3": (25.0, 33.0)}
"""Trainable parameters that the design asks for (million)."""
KINDS = ("prana_v1", "prana_v2", "prana_v3")
JOINTS = 6
INPUTS = {
    "observation.state": PolicyFeature(FeatureType.STATE, (JOINTS,)),
    "observation.images.table": PolicyFeature(FeatureType.VISUAL, (3, 480, 640)),
    "observation.images.wrist": PolicyFeature(FeatureType.VISUAL, (3, 480, 640)),
}


def default_policy(kind: str) -> nn.Module:
    """The policy with its default options and random weights."""
    config = PreTrainedConfig.get_choice_class(kind)(
        device="cpu",
        pretrained_backbone=False,
        input_features=dict(INPUTS),
        output_features={"action": PolicyFeature(FeatureType.ACTION, (JOINTS,))},
    )
    return get_policy_class(kind)(config)


def millions(module: nn.Module, *, only_trained: bool = False) -> float:
    """Parameters of a module, in millions."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not only_trained) / 1e6


def figures(kind: str) -> list[Figure]:
    """What one policy consists of."""
    policy = default_policy(kind)
    trained = millions(policy, only_trained=True)
    low, high = GOALS.get(kind, (0.0, float("inf")))
    goal = f"{low:g} to {high:g}" if kind in GOALS else ""
    return [
        Figure(f"{kind}, trained", trained, "M", goal, low <= trained <= high if goal else None),
        Figure(f"{kind}, all", millions(policy), "M"),
        Figure(f"{kind}, of that backbone", millions(policy.network.vision.backbones), "M"),
    ]


def main() -> None:
    """Count and write the result."""
    write_result("parameters", [figure for kind in KINDS for figure in figures(kind)])


if __name__ == "__main__":
    main()
