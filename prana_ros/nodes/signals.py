"""The signals that ask a process to stop, and a parent that is gone, which asks the same.

``ros2 launch`` leaves its nodes running when it gets SIGTERM or SIGKILL, and nobody would bring the arm to rest. So
what starts a node writes its own process id into the node's environment, and the node stops once that process is
gone. The kernel's PR_SET_PDEATHSIG would ask already when the thread that started the node ends, and would watch a
``launch-prefix`` command instead of launch.
"""

import os
import select
import signal
import threading
from collections.abc import Callable
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, ``kill``, and a terminal that was closed or whose connection was lost."""
PARENT = "PRANA_PARENT"
"""Environment variable with the process id of what started the node."""


def on_stop_signal(handler: Callable[[int, FrameType | None], None]) -> None:
    """Let ``handler`` take every stop signal, but leave SIGHUP ignored where ``nohup`` has said so."""
    for number in STOP_SIGNALS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def parent_environment() -> dict[str, str]:
    """Return what to add to the environment of a node that shall stop once this process is gone."""
    return {PARENT: str(os.getpid())}


def watch_parent() -> None:
    """Send SIGTERM to this process once the one that started it is gone, if it wants to be watched."""
    if PARENT not in os.environ:
        return
    try:
        parent = os.pidfd_open(int(os.environ[PARENT]))
    except ProcessLookupError:  # gone already
        os.kill(os.getpid(), signal.SIGTERM)
        return

    def wait() -> None:
        select.select([parent], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
