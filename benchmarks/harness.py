"""What all benchmarks share: figures, the result file, the table."""

import datetime
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from prana_ros.machine import machine
from prana_ros.text import aligned

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    `goal` is what the project wants of it, in words ("below 15 ms"), empty where it only explains another; `holds` says
    whether the goal is met, None without one.
    """

    name: str
    value: float
    unit: str
    goal: str = ""
    holds: bool | None = None


def at_most(name: str, value: float, unit: str, limit: float) -> Figure:
    """Return a figure whose goal is not to exceed `limit`."""
    return Figure(name, value, unit, f"at most {limit:g}", value <= limit)


def at_least(name: str, value: float, unit: str, limit: float) -> Figure:
    """Return a figure whose goal is to reach `limit`."""
    return Figure(name, value, unit, f"at least {limit:g}", value >= limit)


def take_turns(
    functions: Mapping[str, Callable[[], object]], repeats: int, finish: Callable[[], object] = lambda: None
) -> dict[str, float]:
    """Median wall time of each function (ms), after one warm-up round; all take turns, so that other load meets all.

    Args:
        functions: by name.
        repeats: rounds that count.
        finish: waits until what a function began is done, for a device that computes by itself.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(repeats + 1):
        for name, function in functions.items():
            finish()
            start = time.perf_counter()
            function()
            finish()
            if round_:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


@contextmanager
def in_one_sentence(benchmark: str) -> Iterator[None]:
    """End the command in a sentence where something is refused, or was broken off."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"{benchmark}: {error}") from None


def write_result(name: str, figures: Sequence[Figure], command: str | None = None, **details: object) -> Path:
    """Write `results/NAME.json` and print its table.

    Args:
        name: the benchmark.
        figures: what was measured.
        command: how to repeat it; the running command where not given.
        details: conditions that the figures depend on, for example the duration.
    """
    result = {
        "name": name,
        "machine": machine(),
        "command": command or make_command(name),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **details,
        "figures": [asdict(figure) for figure in figures],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(table([result]))
    return path


def table(results: Sequence[dict]) -> str:
    """Return the figures of several results as one table."""
    rows = [("benchmark", "figure", "value", "unit", "goal", "holds")]
    for result in results:
        for figure in result["figures"]:
            holds = {True: "yes", False: "NO", None: ""}[figure["holds"]]
            rows.append(
                (result["name"], figure["name"], f"{figure['value']:.4g}", figure["unit"], figure["goal"], holds)
            )
    return aligned(rows)


def make_command(name: str) -> str:
    """Return how to repeat the benchmark that runs now."""
    arguments = [f"ARGS={shlex.join(sys.argv[1:])}"] if len(sys.argv) > 1 else []
    return shlex.join(["make", f"bench-{name}", *arguments])
