"""The plot of commanded and measured joints with the chunk seams marked."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from prana_ros.report.log import LoggedEpisode, RunLog
from prana_ros.report.records import JointRecord
from prana_ros.so101.model import JOINT_NAMES

MARGIN = 0.5
"""Seconds shown before and after an episode."""
SEAM_HEIGHT = 0.06
"""Height of a seam's mark, as a fraction of the axis."""


def plot_joints(log: RunLog, path: Path) -> None:
    """Write an image of every joint in every episode: a row per joint in degrees, a column per episode.

    Raises:
        ValueError: if no episode ran.
    """
    episodes = log.episodes()
    if not episodes:
        raise ValueError("No episode ran: there is nothing to plot.")
    figure = Figure(figsize=(1.5 + max(9.0, 5.5 * len(episodes)), 13), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(JOINT_NAMES), len(episodes), sharex="col", sharey="row", squeeze=False)
    for column, episode in enumerate(episodes):
        _plot_episode(axes[:, column], log, episode)
    for row, name in enumerate(JOINT_NAMES):
        axes[row, 0].set_ylabel(f"{name} (°)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    canvas.print_png(str(path))


def _plot_episode(axes: np.ndarray, log: RunLog, episode: LoggedEpisode) -> None:
    measured_times, measured = _within(log.measured, episode)
    commanded_times, commanded = _within(log.commanded, episode)
    seams = np.array([c.seam_time for c in log.chunks if c.published and c.seam_position_step]) - episode.start
    seams = seams[(seams >= 0.0) & (seams <= episode.duration)]
    for joint, axis in enumerate(axes):
        _decorate(axis, episode)
        axis.plot(measured_times, measured[:, joint], color="tab:orange", linewidth=1.6, label="measured")
        axis.plot(commanded_times, commanded[:, joint], color="tab:blue", linewidth=1.0, label="commanded")
        # On the lower edge, so that many seams do not hide the curves.
        axis.vlines(
            seams,
            0.0,
            SEAM_HEIGHT,
            color="black",
            linewidth=0.6,
            transform=axis.get_xaxis_transform(),
            label="chunk seam",
        )
    axes[0].set_title(f"episode {episode.index + 1}: {episode.outcome}", loc="left")
    axes[-1].set_xlabel("time in the episode (s)")


def _decorate(axis: Axes, episode: LoggedEpisode) -> None:
    axis.axvspan(0.0, episode.duration, color="0.95", zorder=0)
    axis.grid(color="0.85", linewidth=0.5)
    axis.set_xlim(-MARGIN, episode.duration + MARGIN)


def _within(records: list[JointRecord], episode: LoggedEpisode) -> tuple[np.ndarray, np.ndarray]:
    """Return times (N,) since the episode's start and positions (N, 6) in degrees, margins included."""
    chosen = [r for r in records if episode.start - MARGIN <= r.time <= episode.end + MARGIN]
    times = np.array([record.time - episode.start for record in chosen])
    positions = np.array([record.position for record in chosen]).reshape(-1, len(JOINT_NAMES))
    return times, positions * (180.0 / math.pi)
