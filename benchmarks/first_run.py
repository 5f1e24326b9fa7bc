"""From a clean clone to a moving arm: the time a newcomer waits, installation apart from the run.

Clones this checkout's last commit into a temporary folder and types what the README says. The wheels come from the
package caches of this machine unless `--cold` is given; then the download is most of the installation.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Figure, write_result

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure the installation, the time until the arm moves and the whole demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cold", action="store_true", help="install without the package caches")
    arguments = parser.parse_args()
    # A newcomer has no environment yet.
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "LD_LIBRARY_PATH")}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.cold:
            environment |= {"UV_CACHE_DIR": f"{folder}/cache", "PIP_NO_CACHE_DIR": "1"}
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        install = _timed(["make", "setup"], clone, environment)
        run = _timed(["make", "demo"], clone, environment)
        (log,) = clone.glob("outputs/demo-*/log.json")
        moving = json.loads(log.read_text())["seconds_to_motion"]
    if moving is None:
        raise SystemExit("the demo ended, but the arm never moved")
    figures = [
        Figure("installation", install, "s"),
        Figure("prana demo until the arm moves", moving, "s"),
        Figure("clean clone to moving arm", install + moving, "s"),
        Figure("make demo, three episodes and report", run, "s"),
    ]
    write_result("first_run", figures, package_caches="empty" if arguments.cold else "as they were")


def _timed(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    start = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
