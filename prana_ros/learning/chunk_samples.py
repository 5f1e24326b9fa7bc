"""Predicted action chunks beside the demonstrated ones, in the dataset's units, and an image of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.utils.constants import ACTION, OBS_PREFIX
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.policies import dataset_metadata


@dataclass(frozen=True)
class ChunkSamples:
    """Chunks of N frames, H steps, A joints, in the dataset's units.

    Attributes:
        demonstrated: (N, H, A), the recorded actions from each frame's time on.
        is_pad: (N, H), true where a step lies beyond its episode.
        predicted: (K, N, H, A), one prediction for each of K noise seeds.
    """

    demonstrated: np.ndarray
    is_pad: np.ndarray
    predicted: np.ndarray


def observation_history(batch: dict[str, Any], steps: int | None) -> list[dict[str, Any]]:
    """A collated batch with ``steps`` observations in each item, as that many batches with one, oldest first.

    Args:
        steps: None where observations have no time axis.
    """
    observations = {k: v for k, v in batch.items() if k.startswith(OBS_PREFIX) and not k.endswith("_is_pad")}
    rest = {"task": batch["task"]} if "task" in batch else {}
    if steps is None:
        return [{**observations, **rest}]

    def at(value: torch.Tensor, step: int) -> torch.Tensor:
        # LeRobot drops the time axis of images, (B, 3, h, w), where there is one observation.
        return value if value.ndim == 4 else value[:, step]

    return [{**{key: at(value, step) for key, value in observations.items()}, **rest} for step in range(steps)]


def sample_chunks(policy: LoadedPolicy, batch: dict[str, Any], seeds: Sequence[int]) -> ChunkSamples:
    """Predict the chunks of a collated batch of dataset items once for each seed of the noise.

    Args:
        batch: items with the delta timestamps of the policy's own configuration, not yet preprocessed.

    Raises:
        ValueError: if the items hold no action at their own time.
    """
    config: Any = policy.policy.config
    deltas = list(config.action_delta_indices)
    if 0 not in deltas:
        raise ValueError(f"{config.type}: its action steps {deltas} do not begin at the observation's time")
    now = deltas.index(0)
    past = config.observation_delta_indices
    history = observation_history(batch, None if past is None else len(past))
    predicted = np.stack([policy.predict_batch(history, seed).double().numpy() for seed in seeds])
    horizon = min(predicted.shape[2], len(deltas) - now)
    return ChunkSamples(
        batch[ACTION][:, now : now + horizon].double().numpy(),
        batch[f"{ACTION}_is_pad"][:, now : now + horizon].numpy(),
        predicted[:, :, :horizon],
    )


def action_names(dataset_meta: Any) -> list[str]:
    """The joints' names in the action's order, or numbers where the dataset names none."""
    size = dataset_meta.features[ACTION]["shape"][0]
    return dataset_metadata.joint_names(dataset_meta) or [f"action {i}" for i in range(size)]


def plot_chunks(samples: ChunkSamples, joint_names: Sequence[str], fps: float, title: str, path: Path) -> None:
    """Write an image: a row for each frame, a column for each joint, prediction over demonstration.

    Args:
        title: says what is shown and in which units.
    """
    predictions, frames, horizon, joints = samples.predicted.shape
    figure = Figure(figsize=(2.6 * joints + 0.5, 2.0 * frames + 1.0), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(frames, joints, squeeze=False, sharex=True, sharey="col")
    time = np.arange(horizon) / fps
    demonstrated = np.where(samples.is_pad[..., None], np.nan, samples.demonstrated)
    for frame in range(frames):
        for joint in range(joints):
            axis = axes[frame, joint]
            for k in range(predictions):
                label = "predicted" if k == 0 else None
                values = samples.predicted[k, frame, :, joint]
                axis.plot(time, values, color="tab:blue", linewidth=1, alpha=0.6, label=label)
            axis.plot(time, demonstrated[frame, :, joint], color="black", linewidth=1.8, label="demonstrated")
            axis.grid(color="0.88", linewidth=0.5)
    for joint, name in enumerate(joint_names):
        axes[0, joint].set_title(name, fontsize="medium")
        axes[-1, joint].set_xlabel("time (s)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize="medium")
    canvas.print_png(str(path))
