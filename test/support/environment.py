"""The environment of a test run: a ROS domain of its own, nothing of the user's touched."""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

# Domains above 101 reach into the range from which Linux takes ephemeral ports.
_DOMAINS = range(1, 102)


def isolate(directory: Path) -> IO[bytes]:
    """Set the environment of this process and its children; the file returned holds the domain while it is open."""
    domain, lock = _free_domain()
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_LOG_DIR"] = str(directory / "ros_log")
    os.environ["HF_LEROBOT_CALIBRATION"] = str(directory / "calibration")
    os.environ["HF_HUB_OFFLINE"] = "1"
    return lock


def _free_domain() -> tuple[int, IO[bytes]]:
    """Return a domain that no other test run on this machine uses, and the locked file that says so."""
    start = os.getpid() % len(_DOMAINS)
    for domain in [*_DOMAINS[start:], *_DOMAINS[:start]]:
        lock = Path(tempfile.gettempdir(), f"prana_ros_test_domain_{domain}.lock").open("ab")  # noqa: SIM115 (returned)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
        else:
            return domain, lock
    raise RuntimeError("all ROS domains are taken by other test runs")
