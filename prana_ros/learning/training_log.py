"""The course of a training run: one line of metrics at a time in a file, and the loss curve as an image."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

METRICS_FILE = "metrics.jsonl"
SMOOTHED_POINTS = 50
"""The smooth curve shows about this many different values, however long the run."""


class TrainingLog:
    """Metrics of a run in ``metrics.jsonl``, a JSON object with ``step`` and ``loss`` a line.

    A resumed run appends to the file. Lines beyond the step that it starts from belong to work that was lost, and are
    removed.
    """

    def __init__(self, folder: Path, start_step: int = 0):
        self.path = folder / METRICS_FILE
        folder.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_metrics(self.path) if line["step"] <= start_step]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def append(self, metrics: Mapping[str, Any]) -> None:
        """Add one line."""
        with self.path.open("a") as file:
            file.write(json.dumps(dict(metrics)) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; none where there is no file. A line that a killed run left unfinished is skipped."""
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines


def training_seconds(metrics: Sequence[dict[str, Any]]) -> float:
    """Time of all steps, without checkpoints and plots: each line has the means of the steps since the line before."""
    steps = [0, *(line["step"] for line in metrics)]
    return sum(
        (line["update_s"] + line["dataloading_s"]) * (line["step"] - before)
        for line, before in zip(metrics, steps, strict=False)
    )


def plot_loss(metrics: list[dict[str, Any]], path: Path) -> None:
    """Write an image of loss and learning rate against the step.

    Raises:
        ValueError: if there are no metrics.
    """
    if not metrics:
        raise ValueError("no metrics were logged: there is no loss to plot")
    step = np.array([line["step"] for line in metrics])
    loss = np.array([line["loss"] for line in metrics])
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    marker = "o" if len(loss) < SMOOTHED_POINTS else None
    upper.plot(step, loss, color="tab:blue", alpha=0.4, linewidth=1, marker=marker, label="mean since the line before")
    window = len(loss) // SMOOTHED_POINTS
    if window > 1:
        smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
        upper.plot(step[window - 1 :], smooth, color="tab:blue", linewidth=2, label=f"mean of {window} lines")
    if (loss > 0).all():
        upper.set_yscale("log")
        upper.yaxis.set_major_formatter(LogFormatter())
        upper.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.8)))
    upper.set_ylabel("loss")
    upper.legend()
    lower.plot(step, [line["lr"] for line in metrics], color="tab:orange", marker=marker)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("step")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (upper, lower):
        axis.grid(color="0.85", linewidth=0.5)
    canvas.print_png(str(path))
