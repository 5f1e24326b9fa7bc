"""How fast the twin may run on this machine, the rest of the graph beside it."""

import os
from collections.abc import Mapping
from typing import Any

from prana_ros.simulation.scene import sample_scene, scene_distribution
from prana_ros.simulation.twin import measure_real_time_factor

HEADROOM = 1.7
"""Times faster than real time that the twin must run alone to keep real time beside the driver and the policy."""
STEPS = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1)
"""Factors to choose from: a stated factor should be the same on every run of a machine."""


def choose_factor(measured: float, cores: int) -> float:
    """Return the largest step that leaves room for the other nodes.

    Args:
        measured: simulated seconds per second that the twin reached on one core alone.
        cores: cores that this process may use; on a single one twin, driver and policy share it.
    """
    affordable = measured / (HEADROOM if cores > 1 else 3.0 * HEADROOM)
    return next((step for step in STEPS if step <= affordable), STEPS[-1])


def real_time_factor(scene: str, cameras: Mapping[str, Any]) -> float:
    """Measure the twin on this machine and return the factor to run it at.

    Args:
        scene: name of the scenes.
        cameras: ``camera_width``, ``camera_height`` and ``camera_fps`` of the twin.
    """
    measured = measure_real_time_factor(
        sample_scene(scene_distribution(scene), seed=0),
        camera_size=(cameras["camera_width"], cameras["camera_height"]),
        camera_fps=cameras["camera_fps"],
    )
    return choose_factor(measured, len(os.sched_getaffinity(0)))
