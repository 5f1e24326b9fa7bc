"""Fast DDS as the images need it, without the user doing anything: transport profile, loopback, stale segments."""

import fcntl
import os
import re
from pathlib import Path

from prana_ros import resources

_SHARED_MEMORY = Path("/dev/shm")
_SEGMENT = re.compile(r"fastdds_[0-9a-f]{16}")


def use_packaged_profile() -> None:
    """Set the DDS environment of this process and its children; call it before `rclpy.init`.

    A profile or a discovery range that the user has set is kept.
    """
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(resources.packaged("config", "fastdds.xml")))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    remove_stale_segments()


def remove_stale_segments(directory: Path = _SHARED_MEMORY) -> list[Path]:
    """Remove the shared-memory segments of processes that were killed; return them.

    Each participant allocates its whole segment and holds an exclusive lock on the file `<segment>_el` as long as it
    lives, so a lock that can be had means that nobody uses the segment, in whichever container. SIGKILL leaves both
    files behind, 16 MB each time, and /dev/shm is small in containers.
    """
    removed = []
    for lock_path in directory.glob("fastdds_*_el"):
        segment = lock_path.with_name(lock_path.name.removesuffix("_el"))
        if _SEGMENT.fullmatch(segment.name) and _owner_is_gone(lock_path):
            for path in (segment, lock_path):
                path.unlink(missing_ok=True)
            removed.append(segment)
    return removed


def _owner_is_gone(lock_path: Path) -> bool:
    try:
        with lock_path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked by its living owner, of another user, or just removed
        return False
    return os.access(lock_path, os.W_OK)
