"""How long the tests take: in a clone of this checkout's last commit, or of another one.

    make bench-test_time                       this commit
    make bench-test_time ARGS="--commit REV"   another one, for the figure before a change

The clone gets this checkout's .venv by hard links, so the installation does not count.
"""

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Figure, at_most, write_result

ROOT = Path(__file__).resolve().parents[1]
GOAL = 14.0
"""Minutes: two thirds of what they took before they ran side by side."""


def main() -> None:
    """Run `make test` and write the minutes that it took, whether the tests passed or not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commit", default="HEAD", help="what to test (default: the last commit)")
    arguments = parser.parse_args()
    commit = subprocess.check_output(["git", "rev-parse", "--short", arguments.commit], cwd=ROOT, text=True).strip()
    with tempfile.TemporaryDirectory(dir=ROOT.parent) as folder:
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        subprocess.run(["git", "checkout", "--quiet", commit], cwd=clone, check=True)
        subprocess.run(["cp", "-al", ".venv", str(clone / ".venv")], cwd=ROOT, check=True)
        shutil.rmtree(clone / ".venv" / "stamps")  # links, too: what `make` touches is the clone's own
        subprocess.run(["make", "setup"], cwd=clone, check=True)
        start = time.monotonic()
        code = subprocess.run(["make", "test"], cwd=clone).returncode
        minutes = (time.monotonic() - start) / 60
    figures = [at_most("make test", minutes, "minutes", GOAL), Figure("exit code", code, "")]
    write_result("test_time", figures, commit=commit)


if __name__ == "__main__":
    main()
