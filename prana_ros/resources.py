"""Files that come with the package: config/, launch/, checkpoints/."""

import sys
from collections.abc import Iterator
from pathlib import Path

_SOURCE_TREE = Path(__file__).resolve().parents[1]


def packaged(*parts: str) -> Path:
    """Return the path of a file or folder that comes with the package, for example `packaged("config", "fastdds.xml")`.

    It is looked for in the source tree (checkout, editable or symlinked install), then in the package's share folder
    where colcon or pip installed it.

    Raises:
        FileNotFoundError: it is in none of them.
    """
    for root in _roots():
        path = root.joinpath(*parts)
        if path.exists():
            return path
    places = ", ".join(str(root) for root in _roots())
    raise FileNotFoundError(f"'{'/'.join(parts)}' of prana_ros is in none of {places}")


def _roots() -> Iterator[Path]:
    if (_SOURCE_TREE / "package.xml").exists():
        yield _SOURCE_TREE
    try:
        from ament_index_python.packages import get_package_share_directory

        yield Path(get_package_share_directory("prana_ros"))
    except (ImportError, LookupError, OSError):  # no ROS here (training only), or installed by pip alone
        pass
    yield Path(sys.prefix, "share", "prana_ros")
