"""Real processes in tests: started with their output kept, waited for, always ended."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path


class TestProcess:
    """One process in a session of its own, its output in a file."""

    __test__ = False

    def __init__(
        self, command: list[str], log: Path, env: Mapping[str, str], cwd: Path | None, asks: bool = False
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if asks else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """What the process has written so far, both streams."""
        return self.log.read_text(errors="replace")

    @property
    def _said(self) -> str:
        """The last line first, which says most, then everything."""
        lines = self.output.splitlines()
        return "\n".join([lines[-1] if lines else "nothing was written", "all of it:", *lines])

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def wait_for(self, pattern: str, timeout: float = 30.0) -> re.Match[str]:
        """Wait until the output matches the regular expression; fail with the whole output otherwise."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            ended = self.returncode is not None  # looked at first: what it wrote last is then in the file
            match = re.search(pattern, self.output, re.MULTILINE)
            if match:
                return match
            if ended:
                raise AssertionError(f"ended with {self.returncode} without writing {pattern!r}: {self._said}")
            time.sleep(0.02)
        raise AssertionError(f"did not write {pattern!r} in {timeout} s: {self._said}")

    def send(self, number: int) -> None:
        """Send a signal to the process alone, not to its children."""
        self._process.send_signal(number)

    def press_enter(self) -> None:
        """Answer a process that asks, and was started so."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def wait(self, timeout: float = 30.0) -> int:
        """Return the exit code; fail with the whole output if the process does not end in time."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end in {timeout} s: {self._said}") from None

    def must_end(self, code: int, within: float = 30.0) -> None:
        """Wait until the process ends with this exit code; fail with the whole output otherwise."""
        ended_with = self.wait(within)
        if ended_with != code:
            raise AssertionError(f"ended with {ended_with}, not {code}: {self._said}")

    def end(self) -> None:
        """End the process and its session: SIGINT, and SIGKILL where that is not obeyed."""
        if self.returncode is None:
            self.send(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Processes:
    """Starts processes and ends them all, the last one first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: list[TestProcess] = []

    def start(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        asks: bool = False,
    ) -> TestProcess:
        """Start a command; one that ``asks`` is answered with ``press_enter``."""
        log = self._directory / f"process_{len(self._processes)}.log"
        process = TestProcess([str(part) for part in command], log, env or {}, cwd, asks)
        self._processes.append(process)
        return process

    def python(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> TestProcess:
        """Start this Python, for example with `"-m", "prana_ros.nodes.twin"`."""
        return self.start(sys.executable, *arguments, env=env)

    def node(self, module: str, parameters: Mapping[str, object] | None = None, *ros_args: str) -> TestProcess:
        """Start a node's module; `parameters` keep their Python types."""
        arguments = ["-m", module, "--ros-args", *ros_args]
        for name, value in (parameters or {}).items():
            arguments += ["-p", f"{name}:={_yaml(value)}"]
        return self.python(*arguments)

    def end(self) -> None:
        """End all processes."""
        for process in reversed(self._processes):
            process.end()


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str | Path) else str(value)
