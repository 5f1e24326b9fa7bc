"""One process per node: starting it, reading what it says, stopping it, and saying what it died of."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from prana_ros.nodes.signals import parent_environment

LOG_FORMAT = "[{severity}] [{time}] [{name}]: {message}"
LOG_LINE = re.compile(r"\[(?P<severity>DEBUG|INFO|WARN|ERROR|FATAL)\] \[\d+\.\d+\] \[[^\]]*\]: (?P<message>.*)")
OUTPUT = "OUTPUT"
"""The severity of a line that is no log line."""
OUTPUT_GRACE = 0.3
"""Seconds in which the last output of a process arrives."""
TERMINATE_TIME = 5.0
"""Seconds between SIGTERM and SIGKILL."""

OnLine = Callable[[str, str, str], None]
"""Called with the process's name, the severity and the text of each line that it says."""


class NodeProcess:
    """A child process in a session of its own, so that a Ctrl-C in the terminal reaches its supervisor only.

    If the supervisor is killed, a node notices and stops in order by itself.
    """

    def __init__(self, name: str, command: Sequence[str], on_line: OnLine) -> None:
        self.name = name
        self.last_error = ""
        self._on_line = on_line
        environment = {
            **os.environ,
            "RCUTILS_CONSOLE_OUTPUT_FORMAT": LOG_FORMAT,
            "PYTHONUNBUFFERED": "1",
            **parent_environment(),
        }
        # RCUTILS' colors would hide the severity from LOG_LINE.
        environment["RCUTILS_COLORIZED_OUTPUT"] = "0"
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """``None`` while the process runs; negative if a signal ended it."""
        return self._process.poll()

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds; return whether the process has ended and all it said was read."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._reader.join(timeout=1.0)
        return True

    def stop(self, patience: float) -> str:
        """Ask the process to stop; after ``patience`` seconds force it. Return how it ended if that was not in order.

        SIGINT asks for an orderly stop; SIGTERM and SIGKILL follow only where it does not come.
        """
        for number, seconds in ((signal.SIGINT, patience), (signal.SIGTERM, TERMINATE_TIME), (signal.SIGKILL, 5.0)):
            if self.exit_code is None:
                self._process.send_signal(number)
            if self.wait(seconds):
                break
        if number is signal.SIGINT:
            # A process that had not come to installing its signal handlers yet is ended by SIGINT itself.
            return "" if self.exit_code in (0, -signal.SIGINT) else describe_exit(self.exit_code)
        return f"did not stop within {patience:.0f} s and was ended by {number.name}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match = LOG_LINE.match(line)
            severity, text = (match["severity"], match["message"]) if match else (OUTPUT, line.rstrip())
            if severity in ("ERROR", "FATAL"):
                self.last_error = text
            self._on_line(self.name, severity, text)


def last_error(output: str) -> str:
    """Return the message of the last error that a node logs in ``output``, empty if there is none."""
    errors = [match["message"] for match in LOG_LINE.finditer(output) if match["severity"] in ("ERROR", "FATAL")]
    return errors[-1].rstrip() if errors else ""


def describe_exit(code: int | None) -> str:
    """Say what ended a process: ``exited with code 3`` or ``was killed by SIGKILL (9)``."""
    if code is None:
        return "is still running"
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was killed by signal {-code}"
    return f"was killed by {name} ({-code})"


def python_module(module: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module]


def ending_with_parent() -> list[str]:
    """Return a prefix with which a program that knows nothing of us gets SIGINT when its supervisor is gone."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []
