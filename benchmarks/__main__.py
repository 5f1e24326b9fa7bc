"""Run all benchmarks one after the other and print their figures as one table."""

import json
import pkgutil
import subprocess
import sys

import benchmarks
from benchmarks.harness import RESULTS, table

NOT_BENCHMARKS = (
    "__main__",
    "ablation_runs",
    "arithmetic_floor",
    "closed_loop",
    "evaluation_tables",
    "execution_variants",
    "full_size",
    "harness",
    "inpainting_variants",
)
"""What benchmarks share, and what makes text of their results."""


def benchmark_names() -> list[str]:
    """Return the modules that write a result of their name."""
    modules = [module for module in pkgutil.iter_modules(benchmarks.__path__) if not module.ispkg]
    return [module.name for module in modules if module.name not in NOT_BENCHMARKS]


def main() -> int:
    """Return 1 if a benchmark could not be run; a goal that is missed is stated, not an error."""
    names = benchmark_names()
    failed = [name for name in names if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode]
    results = [json.loads((RESULTS / f"{name}.json").read_text()) for name in names if name not in failed]
    print("\n" + table(results))
    for name in failed:
        print(f"{name} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
