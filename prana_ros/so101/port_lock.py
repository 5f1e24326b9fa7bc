"""A serial port for one program at a time.

Linux lets any number of programs open a serial port; two that talk to the servos garble each other's packets. The
lock is ``flock`` on the device, which ends with the process however it dies; a look at who has the device open already,
because other programs (LeRobot among them) take no lock; and the kernel's exclusive mode against those that come later.
"""

import errno
import fcntl
import os
import termios
from pathlib import Path

PTY_MASTER = "/dev/ptmx"


class PortError(OSError):
    """The port cannot be used; the message is one sentence for the user."""


class PortLock:
    """Exclusive use of a serial port, from :meth:`acquire` to :meth:`release`."""

    def __init__(self, port: str) -> None:
        self.port = port
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the port, or raise :class:`PortError`: it does not exist, is no serial port, or is in use."""
        descriptor = self._open()
        try:
            if not os.isatty(descriptor):
                raise PortError(f"'{self.port}' is not a serial port.")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._refuse_other_users()
        except BlockingIOError:
            os.close(descriptor)
            user = ", ".join(_users(self.port)) or "another program"
            raise PortError(
                f"The port '{self.port}' is in use by {user}; only one program may drive the arm."
            ) from None
        except PortError:
            os.close(descriptor)
            raise
        except OSError as error:
            os.close(descriptor)
            raise PortError(f"The port '{self.port}' cannot be taken: {error.strerror}.") from None
        self._descriptor = descriptor

    def shut_out(self) -> None:
        """Let the kernel refuse the port to every program that opens it from now on (those of root excepted)."""
        if self._descriptor is not None:
            try:
                fcntl.ioctl(self._descriptor, termios.TIOCEXCL)
            except OSError as error:  # unplugged since it was taken
                raise PortError(f"The port '{self.port}' cannot be taken: {error.strerror}.") from None

    def release(self) -> None:
        """Give the port back; without effect if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        try:
            return os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise PortError(f"There is no port '{self.port}'; is the arm plugged in?") from None
        except PermissionError:
            raise PortError(
                f"The port '{self.port}' may not be opened by this user; membership in the group of the device "
                "(often dialout) is needed."
            ) from None
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise PortError(f"The port '{self.port}' is in use by another program.") from None
            raise PortError(f"The port '{self.port}' cannot be opened: {error.strerror}.") from None

    def _refuse_other_users(self) -> None:
        users = _users(self.port)
        if users:
            raise PortError(
                f"The port '{self.port}' is in use by {', '.join(users)}; only one program may drive the arm."
            )


def _users(port: str) -> list[str]:
    """Other processes that have the device open, as far as this user may see them, such as "python3 (pid 812)".

    The process at the other end of a pseudo-terminal keeps both ends open and is not meant.
    """
    device = os.path.realpath(port)
    users = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        opened = _open_files(process)
        if device in opened and not any(path in (PTY_MASTER, "/dev/pts/ptmx") for path in opened):
            users.append(f"{_command(process)} (pid {process.name})")
    return users


def _open_files(process: Path) -> set[str]:
    opened = set()
    try:
        for descriptor in (process / "fd").iterdir():
            opened.add(os.readlink(descriptor))
    except OSError:
        pass  # the process ended, or belongs to another user
    return opened


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"
