"""Evaluations as images: success, time to success, smoothness."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.result import Evaluation
from prana_ros.evaluation.statistics import success_rate
from prana_ros.evaluation.summary import both_succeeded, quantity_pairs

_GRID = {"color": "0.88", "linewidth": 0.5}


def plot_success(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write an image of each policy's success rate with its 95 % interval."""

    def draw(axis: Axes) -> None:
        rates = [success_rate(evaluation.successes, len(evaluation.episodes)) for evaluation in evaluations]
        for row, (evaluation, rate) in enumerate(zip(evaluations, rates, strict=True)):
            distances = [[100 * (rate.value - rate.low)], [100 * (rate.high - rate.value)]]
            axis.errorbar([100 * rate.value], [row], xerr=distances, fmt="o", capsize=4, color=f"C{row}")
            count = f"{evaluation.successes}/{len(evaluation.episodes)}"
            axis.annotate(count, (100 * rate.value, row), xytext=(0, 7), textcoords="offset points", ha="center")
        _name_rows(axis, [evaluation.name for evaluation in evaluations])
        axis.set_xlim(-5, 105)
        axis.set_xlabel("success (%), with 95 % interval")

    _write([draw], _title(evaluations), path, height=1.4 + 0.6 * len(evaluations))


def plot_time(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write an image of the share of scenes that each policy has done after so many seconds."""

    def draw(axis: Axes) -> None:
        for row, evaluation in enumerate(evaluations):
            times = np.sort([episode.duration for episode in evaluation.episodes if episode.success])
            share = 100 * np.arange(len(times) + 1) / len(evaluation.episodes)
            end = max([evaluation.time_limit, *times])  # the graph's clock may go a little beyond the limit
            steps = np.concatenate([[0.0], times, [end]])
            axis.step(steps, [*share, share[-1]], where="post", color=f"C{row}", label=evaluation.name)
        axis.set_xlim(left=0)
        axis.set_ylim(0, 102)
        axis.set_xlabel("time in the episode (s)")
        axis.set_ylabel("scenes done (%)")
        axis.legend(loc="upper left")

    _write([draw], _title(evaluations), path, height=4)


def plot_smoothness(evaluations: Sequence[Evaluation], expert: Sequence[Episode], path: Path) -> None:
    """Write an image of jerk, relative to the expert's where that is given, and of the steps at the seams.

    Boxes reach from quartile to quartile, whiskers from the 5th to the 95th percentile.
    """

    def draw_jerk(axis: Axes) -> None:
        if expert:
            pairs = [quantity_pairs(both_succeeded(each.episodes, expert), "jerk") for each in evaluations]
            values = [[policy / reference for policy, reference in each] for each in pairs]
            axis.axvline(1.0, color="0.4", linewidth=0.8)
            axis.set_xlabel("jerk / the expert's, scenes in which both succeeded")
        else:
            values = [[episode.jerk for episode in e.episodes if episode.success] for e in evaluations]
            axis.set_xlabel("jerk (rad/s³), successes")
        _boxes(axis, values, [evaluation.name for evaluation in evaluations])

    def draw_seams(name: str, label: str) -> Callable[[Axes], None]:
        def draw(axis: Axes) -> None:
            steps = [[math.degrees(step) for e in ev.episodes for step in getattr(e, name)] for ev in evaluations]
            _boxes(axis, steps, [""] * len(evaluations))
            axis.set_xlabel(label)

        return draw

    drawings = [
        draw_jerk,
        draw_seams("seam_steps", "position step at seams (°), the largest joint's"),
        draw_seams("seam_velocity_steps", "velocity step at seams (°/s), the largest joint's"),
    ]
    _write(drawings, _title(evaluations), path, height=1.6 + 0.6 * len(evaluations))


def _boxes(axis: Axes, values: Sequence[Sequence[float]], names: Sequence[str]) -> None:
    for row, numbers in enumerate(values):
        if numbers:
            box = axis.boxplot(
                [numbers], positions=[row], widths=0.55, whis=(5, 95), showfliers=False, orientation="horizontal"
            )
            box["medians"][0].set(color=f"C{row}", linewidth=2)
        else:
            axis.annotate("none", (0.5, row), xycoords=("axes fraction", "data"), ha="center", va="center")
    _name_rows(axis, names)
    axis.set_xlim(left=0)


def _name_rows(axis: Axes, names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)


def _title(evaluations: Sequence[Evaluation]) -> str:
    scenes = ", ".join(sorted({evaluation.scenes for evaluation in evaluations}))
    runners = ", ".join(sorted({evaluation.runner for evaluation in evaluations}))
    return f"{scenes} scenes, through {runners}"


def _write(drawings: Sequence[Callable[[Axes], None]], title: str, path: Path, height: float) -> None:
    figure = Figure(figsize=(1.5 + 5.5 * len(drawings), height), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(drawings), squeeze=False)[0]
    for draw, axis in zip(drawings, axes, strict=True):
        axis.grid(**_GRID)
        axis.set_axisbelow(True)
        draw(axis)
    figure.suptitle(title, fontsize="medium")
    canvas.print_png(str(path))
