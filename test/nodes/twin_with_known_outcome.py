"""The twin node with scenes whose outcome is known: the screwdriver of an odd seed lies in the box."""

import dataclasses
import math
import sys

import prana_ros.nodes.twin as node
from prana_ros.simulation.scene import TOOL_BACK, TOOL_TIP, Scene, SceneDistribution, sample_scene


def scene(distribution: SceneDistribution, seed: int) -> Scene:
    drawn = sample_scene(distribution, seed)
    if seed % 2 == 0:
        return drawn
    # Along the box, the middle of its length over the box's: a scene's position is that of the handle.
    yaw = drawn.box_yaw + math.pi / 2
    ahead = (TOOL_BACK + TOOL_TIP) / 2
    x, y = drawn.box_position
    return dataclasses.replace(
        drawn, tool_position=(x - ahead * math.cos(yaw), y - ahead * math.sin(yaw)), tool_yaw=yaw
    )


node.sample_scene = scene

if __name__ == "__main__":
    sys.exit(node.main())
