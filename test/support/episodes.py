"""Made episodes and evaluations."""

from collections.abc import Sequence

import numpy as np

from prana_ros.evaluation.episode import SUCCESS, Episode
from prana_ros.evaluation.result import Evaluation


def episode(seed: int = 0, outcome: str = SUCCESS, **changes: object) -> Episode:
    """An episode of 6 s; path length and jerk differ from scene to scene."""
    values = {
        "seed": seed,
        "outcome": outcome,
        "duration": 6.0,
        "chunks": 3,
        "path_length": 0.6 + 0.01 * seed,
        "jerk": 10.0 + seed,
        "seam_steps": (0.01, 0.02),
        "seam_velocity_steps": (0.1, 0.3),
    }
    return Episode(**{**values, **changes})


def strip_of(images: int, height: int = 60, width: int = 160) -> tuple[np.ndarray, ...]:
    """Images of one color each, brighter from the first to the last."""
    return tuple(np.full((height, width, 3), level, np.uint8) for level in np.linspace(40, 220, images))


def evaluation(episodes: Sequence[Episode], name: str = "act", **changes: object) -> Evaluation:
    """An evaluation in lock-step of as many scenes as there are episodes."""
    values = {
        "name": name,
        "policy": {"path": f"outputs/{name}", "type": name, "parameters": 1000},
        "scenes": "hard",
        "runner": "lockstep",
        "playback": {"execute_steps": 8, "asynchronous": False, "latency": 0.0},
        "time_limit": 15.0,
        "requested": len(episodes),
        "episodes": tuple(episodes),
        "command": "python training/evaluate.py",
        "seconds": 40.0,
    }
    return Evaluation(**{**values, **changes})
