"""What the user sees of a run: one live status line, messages above it, and everything in a log file."""

import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from prana_ros.bringup.processes import OUTPUT

QUIET_PERIOD = 10.0
"""Seconds between two status lines where the output is no terminal."""
_SHOWN = ("WARN", "ERROR", "FATAL")


class Terminal:
    """Writes to ``stream`` and, everything and more, to the log file. Safe to call from several threads."""

    def __init__(self, log_path: Path, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._lock = threading.RLock()
        self._status = ""
        self._said_by_nodes: set[str] = set()
        self._status_due = 0.0
        self._log = log_path.open("w", encoding="utf-8")

    def close(self) -> None:
        """Leave the last status line standing and close the log file."""
        with self._lock:
            if self._live and self._status:
                self._stream.write("\n")
                self._stream.flush()
            self._status = ""
            self._log.close()

    def say(self, text: str) -> None:
        """Print a message to the user, unless a node has said the same."""
        with self._lock:
            self._note(f"prana: {text}")
            if text not in self._said_by_nodes:
                self._print(text)

    def status(self, text: str) -> None:
        """Show the state of the run: in place on a terminal, else as a line every ten seconds."""
        with self._lock:
            if self._live:
                self._status = text
                self._draw_status()
            elif time.monotonic() >= self._status_due:
                self._status_due = time.monotonic() + QUIET_PERIOD
                self._note(f"prana: {text}")
                self._print(text)

    def node_line(self, name: str, severity: str, text: str) -> None:
        """Log a line that a node's process said; print it if it is a warning or worse."""
        with self._lock:
            self._note(f"{name}: {text}" if severity == OUTPUT else f"{name}: {severity} {text}")
            if severity in _SHOWN:
                self._said_by_nodes.add(f"{name}: {text}")
                self._print(f"{name}: {text}")

    def _note(self, text: str) -> None:
        if not self._log.closed:
            self._log.write(f"{time.strftime('%H:%M:%S')} {text}\n")
            self._log.flush()

    def _print(self, text: str) -> None:
        clear = "\r\033[K" if self._live and self._status else ""
        self._stream.write(f"{clear}{text}\n")
        self._draw_status()
        self._stream.flush()

    def _draw_status(self) -> None:
        if self._live and self._status:
            width = shutil.get_terminal_size().columns
            self._stream.write(f"\r\033[K{self._status[: width - 1]}")
            self._stream.flush()
