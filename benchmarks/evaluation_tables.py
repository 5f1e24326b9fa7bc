"""The tables of docs/evaluation.md, made of the results that are kept: ``python -m benchmarks.evaluation_tables``.

Each stands between two comments, ``<!-- NAME -->`` and ``<!-- end of NAME -->``; what is between them is replaced.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS
from prana_ros.evaluation.result import GRAPH
from prana_ros.evaluation.tables import NONE, failures
from prana_ros.simulation.scene import DISTRIBUTIONS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evaluation.md"
Row = dict[str, Any]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def success_cells(row: Row) -> list[str]:
    """Successes, interval, and failures by class."""
    low, high = row["success_rate_95"]
    return [f"{row['successes']} / {row['episodes']}", f"{low:.1%} to {high:.1%}", failures(row["outcomes"])]


def motion_cells(row: Row) -> list[str]:
    """Time, path, jerk and seams."""
    time, seam = row["time_to_success_s"], row["seam_position_rad"]
    relative = row.get("relative_to_expert") or {}
    ratios = [relative.get("path_length"), relative.get("jerk")]
    return [
        f"{time['median']:.1f}" if time else NONE,
        *(f"{ratio[0]:.2f}" if ratio else NONE for ratio in ratios),
        f"{math.degrees(seam['median']):.2f}, {math.degrees(seam['p95']):.2f}" if seam else NONE,
    ]


def success_table(result: Row) -> str:
    """Every policy on every distribution."""
    head = ["scenes", "policy", "runner", "success", "95 %", "failures", "time (s)", "path", "jerk", "seam (°)"]
    rows = [
        [row["scenes"], row["name"], row["runner"], *success_cells(row), *motion_cells(row)]
        for row in sorted(result["evaluations"], key=_order)
    ]
    return markdown(head, rows)


def _order(row: Row) -> tuple[int, bool, float]:
    """By scenes, lock-step first, the best first."""
    return list(DISTRIBUTIONS).index(row["scenes"]), row["runner"] == GRAPH, -row["successes"] / row["episodes"]


def pairs_table(result: Row) -> str:
    """Each two policies on the same scenes."""
    head = ["scenes", "first", "second", "difference (points)", "95 %", "only first", "only second", "p", "jerk ratio"]
    rows = [
        [
            pair["scenes"],
            pair["first"],
            pair["second"],
            *_points(pair["difference"]),
            str(pair["only_first"]),
            str(pair["only_second"]),
            f"{pair['p_value']:.2g}",
            _with_interval(pair["jerk"]),
        ]
        for pair in result["pairs"]
    ]
    return markdown(head, rows)


def _points(difference: Sequence[float]) -> list[str]:
    value, low, high = (100 * number for number in difference)
    return [f"{value:+.1f}", f"{low:+.1f} to {high:+.1f}"]


def _with_interval(estimate: Sequence[float] | None) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*estimate) if estimate else NONE


def costs_table(result: Row) -> str:
    """Size, inference and training of each policy."""
    head = ["policy", "parameters", "one chunk, one thread (ms)", "samples", "training (h)"]
    parameters = {row["name"]: row["policy"].get("parameters", 0) for row in result["evaluations"]}
    rows = [
        [
            name,
            f"{parameters[name] / 1e6:.2f} M",
            f"{cost['chunk_ms']:.0f}",
            f"{cost['training_samples']:,}" if "training_samples" in cost else NONE,
            f"{cost['training_hours']:.2f}" if "training_hours" in cost else NONE,
        ]
        for name, cost in result["costs"].items()
        if name in parameters
    ]
    return markdown(head, rows)


def changes_table(result: Row) -> str:
    """Each run of a benchmark that changes one policy, with its difference from what it is compared with."""
    head = ["run", "success", "95 %", "failures", "difference (points)", "95 %", "jerk ratio", "time (s)", "seam (°)"]
    pairs = {pair["first"]: pair for pair in result["pairs"]}
    rows = []
    for row in result["evaluations"]:
        pair = pairs.get(row["name"])
        compared = [*_points(pair["difference"]), _with_interval(pair["jerk"])] if pair else [NONE] * 3
        time, *_, seam = motion_cells(row)
        rows.append([row["name"], *success_cells(row), *compared, time, seam])
    return markdown(head, rows)


TABLES: dict[str, tuple[str, Callable[[Row], str]]] = {
    "success": ("success", success_table),
    "pairs": ("success", pairs_table),
    "costs": ("success", costs_table),
    "ablations": ("ablations", changes_table),
    "latency": ("latency_robustness", changes_table),
}
"""The result that each table is made of."""


def filled(page: str) -> str:
    """The page with its tables as the kept results have them.

    Raises:
        ValueError: if the page lacks a table.
    """
    for name, (benchmark, table) in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{PAGE.name} has no place for the table {name!r}: {begin.strip()} … {end.strip()}")
        path = RESULTS / f"{benchmark}.json"
        text = table(json.loads(path.read_text())) if path.is_file() else "Not measured yet."
        page = before + begin + text + end + after
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
