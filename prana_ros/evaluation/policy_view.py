"""What a policy sees of a world: images at the size that it was trained on."""

import numpy as np
import torch

from prana_ros.inference import gate
from prana_ros.inference.predictor import PolicyInput
from prana_ros.inference.spec import PolicySpec
from prana_ros.policies.vision import resize_images
from prana_ros.simulation.world import CAMERA_SIZE, CAMERAS, World
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import LEROBOT_UNITS


class PolicyView:
    """The twin's cameras for one policy.

    Square images are those of a policy that was trained on cached frames (``train.py --frame_cache_size``): images of
    the datasets' 320 x 240, stretched and rounded as the cache does it. Other images are drawn at their own size.

    Raises:
        ValueError: if the policy does not fit the twin; ``GateError`` has a sentence for each mismatch.
    """

    def __init__(self, spec: PolicySpec) -> None:
        images = dict.fromkeys(CAMERAS) | {name: spec.cameras[name] for name in CAMERAS if name in spec.cameras}
        gate.require(spec, gate.RobotDescription(JOINT_NAMES, LEROBOT_UNITS, None, images))
        self._sides = {name: height if height == width else None for name, (_, height, width) in spec.cameras.items()}
        own = {name: (width, height) for name, (_, height, width) in spec.cameras.items()}
        drawn = {CAMERA_SIZE if side else own[name] for name, side in self._sides.items()}
        if len(drawn) > 1:
            raise ValueError(f"the twin's cameras have one size, the policy was trained on {sorted(drawn)}")
        self.camera_size: tuple[int, int] = drawn.pop() if drawn else CAMERA_SIZE
        """Width and height at which the twin draws."""

    def look(self, world: World) -> PolicyInput:
        """The joint state and the policy's images, of now."""
        snapshot = world.snapshot()
        images = {name: stretched(world.render(name, snapshot), side) for name, side in self._sides.items()}
        return PolicyInput(world.position, images)


def stretched(image: np.ndarray, side: int | None) -> np.ndarray:
    """An image (H, W, 3) uint8 as (side, side, 3), with the rounding of the frame cache; without ``side`` as it is."""
    if side is None:
        return image
    resized = resize_images(torch.from_numpy(image).permute(2, 0, 1)[None], side)
    return (resized * 255).round().to(torch.uint8)[0].permute(1, 2, 0).numpy()
