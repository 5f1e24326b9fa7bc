"""Commands for a running twin from other processes: lines that anybody writes into a named pipe."""

import contextlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

SUFFIX = "_control"
"""What the name of an arm's pipe has after that of its link."""


class ControlPipe:
    """Reads lines from a named pipe, one after the other, until ``close``; the pipe goes with it."""

    def __init__(self, path: Path, obey: Callable[[str], None]) -> None:
        """Make the pipe, in place of one that a killed twin left.

        Args:
            path: of the pipe.
            obey: called with each line, in a thread of its own.

        Raises:
            FileExistsError: if there is something at ``path`` that is no pipe.
            FileNotFoundError: if the folder of ``path`` does not exist.
        """
        if path.exists() and not stat.S_ISFIFO(path.stat().st_mode):
            raise FileExistsError(f"{path} exists and is not a pipe; the arm's control cannot go there.")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"There is no folder {path.parent} for the arm's control {path.name}.")
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        self._path = path
        self._obey = obey
        self._stopping = False
        # Open for writing too: so the end of a writer is not the end of the pipe.
        self._descriptor = os.open(path, os.O_RDWR)
        self._thread = threading.Thread(target=self._read, name=f"control {path}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading and remove the pipe."""
        self._stopping = True
        os.write(self._descriptor, b"\n")
        self._thread.join()
        os.close(self._descriptor)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _read(self) -> None:
        with os.fdopen(os.dup(self._descriptor), encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if self._stopping:
                    return
                if line.strip():
                    self._obey(line.strip())
