"""How far predicted chunks are from the demonstrated ones on recorded episodes, and how smooth they are."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.utils.data import DataLoader, Subset

from prana_ros.datasets.opening import open_dataset, require_episodes
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.learning.chunk_samples import ChunkSamples, sample_chunks

DIFFERENCES = (2, 3)
"""Second and third differences of a chunk: acceleration and jerk but for the frame rate."""


@dataclass(frozen=True)
class OfflineResult:
    """What was measured over N frames, in the dataset's units; H steps, A joints. Steps beyond an episode are left out.

    Attributes:
        frames: N.
        error: mean absolute error (H, A) over frames and seeds; NaN at a step that no episode reaches.
        spread: standard deviation (H, A) of the predictions over the seeds, root mean square over the frames.
        roughness: by order of difference, root mean square of the predicted chunks' differences relative to that of
            the demonstrated ones (A,); NaN for a joint that never moves.
    """

    frames: int
    error: np.ndarray
    spread: np.ndarray
    roughness: dict[int, np.ndarray]


def trained_episodes(checkpoint: Path) -> tuple[str, list[int] | None] | None:
    """Repo id and episodes that a checkpoint was trained on, as its ``train_config.json`` says; None without one.

    The episodes are None where they were all the dataset had.
    """
    path = checkpoint / "train_config.json"
    if not path.is_file():
        return None
    dataset = json.loads(path.read_text())["dataset"]
    return dataset["repo_id"], dataset["episodes"]


def held_out_episodes(total: int, trained: Sequence[int] | None) -> list[int]:
    """The episodes of ``total`` that were not trained on; all of them where none is left."""
    left = [] if trained is None else [episode for episode in range(total) if episode not in set(trained)]
    return left or list(range(total))


def collect(policy: LoadedPolicy, dataset: LeRobotDataset, rows: Sequence[int], seeds: int) -> Iterator[ChunkSamples]:
    """Demonstrated and predicted chunks of the rows, some at a time.

    Args:
        dataset: with the delta timestamps of the policy, as :func:`open_for` opens it.
    """
    for batch in DataLoader(Subset(dataset, rows), batch_size=16):
        yield sample_chunks(policy, batch, range(seeds))


def open_for(policy: LoadedPolicy, dataset: str, episodes: Sequence[int]) -> LeRobotDataset:
    """A dataset by folder or repo id, its items with the observations and actions that the policy asks for.

    Raises:
        ValueError: if it is no dataset, or lacks an episode or one of the policy's inputs.
    """
    whole = open_dataset(dataset).meta
    require_episodes("--episodes", episodes, dataset, whole.total_episodes)
    config: Any = policy.policy.config
    wanted = {**(config.input_features or {}), **config.output_features}
    if missing := sorted(set(wanted) - set(whole.features)):
        raise ValueError(f"the policy needs {missing[0]}, which {dataset} lacks")
    deltas = resolve_delta_timestamps(config, whole)
    return open_dataset(dataset, episodes=sorted(episodes), delta_timestamps=deltas, video_backend="pyav")


def _difference_energy(chunks: np.ndarray, is_pad: np.ndarray, order: int) -> tuple[np.ndarray, int]:
    """Sum of squares (A,) of the differences along H of chunks (..., H, A), and how many; unpadded steps only."""
    valid = np.lib.stride_tricks.sliding_window_view(~is_pad, order + 1, axis=-1).all(axis=-1)
    differences = np.diff(chunks, order, axis=-2)
    valid = np.broadcast_to(valid, differences.shape[:-1])
    return np.square(differences[valid]).sum(axis=0), int(valid.sum())


def summarize_errors(collected: Sequence[ChunkSamples]) -> OfflineResult:
    """All figures of the collected chunks.

    Raises:
        ValueError: if nothing was collected.
    """
    if not collected:
        raise ValueError("no frame was chosen")
    demonstrated = np.concatenate([samples.demonstrated for samples in collected])
    is_pad = np.concatenate([samples.is_pad for samples in collected])
    predicted = np.concatenate([samples.predicted for samples in collected], axis=1)
    counted = (~is_pad)[..., None]
    counts = counted.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # no frame reaches that step, or nothing moves: NaN
        error = (np.abs(predicted - demonstrated).mean(axis=0) * counted).sum(axis=0) / counts
        spread = np.sqrt((predicted.var(axis=0) * counted).sum(axis=0) / counts)
        roughness = {}
        for order in DIFFERENCES:
            own, own_count = _difference_energy(predicted, is_pad, order)
            reference, count = _difference_energy(demonstrated, is_pad, order)
            roughness[order] = np.sqrt((own / own_count) / np.where(reference > 0, reference / max(count, 1), np.nan))
    return OfflineResult(len(demonstrated), error, spread, roughness)


def table(result: OfflineResult, joint_names: Sequence[str]) -> str:
    """The figures joint by joint: error over the chunk and at some of its steps, spread, roughness."""
    horizon = len(result.error)
    steps = sorted({0, horizon // 4, horizon // 2, 3 * horizon // 4, horizon - 1})
    head = ["joint", "mean", *(f"step {step}" for step in steps), "spread", "2nd diff.", "3rd diff."]
    columns = [
        np.nanmean(result.error, axis=0),
        *(result.error[step] for step in steps),
        np.sqrt(np.nanmean(np.square(result.spread), axis=0)),
        *(result.roughness[order] for order in DIFFERENCES),
    ]
    rows = [[name, *(f"{column[joint]:.3g}" for column in columns)] for joint, name in enumerate(joint_names)]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]))
    return "\n".join(lines)


def as_json(result: OfflineResult, joint_names: Sequence[str]) -> dict[str, Any]:
    """The figures by joint; null where there is none."""

    def by_joint(values: np.ndarray) -> dict[str, Any]:
        listed = [[None if np.isnan(v) else float(v) for v in np.atleast_1d(column)] for column in values.T]
        return dict(zip(joint_names, listed, strict=True))

    def one_by_joint(values: np.ndarray) -> dict[str, Any]:
        return {name: column[0] for name, column in by_joint(values[None]).items()}

    return {
        "frames": result.frames,
        "mean_absolute_error": one_by_joint(np.nanmean(result.error, axis=0)),
        "mean_absolute_error_by_step": by_joint(result.error),
        "spread_over_seeds_by_step": by_joint(result.spread),
        **{f"relative_rms_of_difference_{order}": one_by_joint(result.roughness[order]) for order in DIFFERENCES},
    }


def plot_error(result: OfflineResult, joint_names: Sequence[str], fps: float, title: str, path: Path) -> None:
    """Write an image: for each joint, error and spread against the time in the chunk."""
    columns = min(3, len(joint_names))
    rows = -(-len(joint_names) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * rows + 0.8), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    time = np.arange(len(result.error)) / fps
    for joint, (axis, name) in enumerate(zip(axes, joint_names, strict=False)):
        axis.plot(time, result.error[:, joint], color="tab:blue", linewidth=2, label="mean absolute error")
        axis.plot(time, result.spread[:, joint], color="tab:orange", label="spread of the predictions over seeds")
        axis.set_title(name, fontsize="medium")
        axis.set_ylim(bottom=0)
        axis.grid(color="0.88", linewidth=0.5)
    for axis in axes[len(joint_names) :]:
        axis.set_axis_off()
    for axis in axes[-columns:]:
        axis.set_xlabel("time in the chunk (s)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize="medium")
    canvas.print_png(str(path))
