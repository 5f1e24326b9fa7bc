"""What an evaluation leaves behind: results, tables, failure strips and plots, in one folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from prana_ros.evaluation.comparison import Comparison, compare_all
from prana_ros.evaluation.episode import Episode
from prana_ros.evaluation.failure_strip import write_failure_pages
from prana_ros.evaluation.plots import plot_smoothness, plot_success, plot_time
from prana_ros.evaluation.result import EXPERT, Evaluation, write_evaluation
from prana_ros.evaluation.tables import comparison_table, policy_table


def write_policy(evaluation: Evaluation, folder: Path, expert: Sequence[Episode] = ()) -> list[Path]:
    """Write ``NAME.json`` and the pages of failure strips of the failures; return the files."""
    path = folder / f"{evaluation.name}.json"
    write_evaluation(evaluation, path, expert)
    return [path, *write_failure_pages(evaluation.episodes, folder, f"{evaluation.name}_failures")]


def report(evaluations: Sequence[Evaluation], expert: Sequence[Episode] = ()) -> str:
    """Return the table of the policies and that of their pairs, of those that were not broken off.

    Raises:
        ValueError: if two were not given the same scenes.
    """
    tables = [policy_table(evaluations, expert)]
    if pairs := compare_all([evaluation for evaluation in evaluations if not evaluation.broken_off]):
        tables.append(comparison_table(pairs))
    return "\n\n".join(tables)


def write_images(evaluations: Sequence[Evaluation], folder: Path, expert: Sequence[Episode] = ()) -> list[Path]:
    """Write the plots; return the files."""
    paths = [folder / f"{name}.png" for name in ("success", "time_to_success", "smoothness")]
    plot_success(evaluations, paths[0])
    plot_time(evaluations, paths[1])
    plot_smoothness(evaluations, expert, paths[2])
    return paths


def write_comparisons(comparisons: Sequence[Comparison], path: Path) -> None:
    """Write all figures of the pairs as JSON."""
    path.write_text(json.dumps([asdict(pair) for pair in comparisons], indent=1) + "\n", encoding="utf-8")


def expert_among(evaluations: Sequence[Evaluation]) -> tuple[Episode, ...]:
    """The expert's episodes, where it is one of the policies."""
    return next((e.episodes for e in evaluations if e.policy.get("path") == EXPERT), ())
