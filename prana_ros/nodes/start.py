"""Starts a node by its name: what the installed executables, launch and ``prana`` run.

A node imports for seconds (PyTorch, MuJoCo) before it can answer a signal in order. A signal that comes earlier ends
the process here, at once and without a traceback: nothing has begun yet.
"""

import importlib
import os
import sys
from pathlib import Path

from prana_ros.nodes.signals import on_stop_signal


def main() -> int:
    """Run the node that the executable is named after, or, of this module itself, the first argument."""
    on_stop_signal(lambda number, frame: os._exit(0))
    name = Path(sys.argv[0]).name
    if name == Path(__file__).name:
        name = sys.argv.pop(1)
    return importlib.import_module(f"prana_ros.nodes.{name}").main()


if __name__ == "__main__":
    sys.exit(main())
