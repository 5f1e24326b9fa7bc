"""ament_python package; pip and colcon read its metadata from here: colcon wants it here, not in pyproject.toml."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

package_name = "prana_ros"
nodes = ["camera", "episodes", "policy", "so101_driver", "twin"]


def share(*folders: str) -> list[tuple[str, list[str]]]:
    """Return the files below the folders as data files, each in the same place under the package's share folder."""
    paths = [Path(path) for folder in folders for path in glob(f"{folder}/**", recursive=True)]
    files = [path for path in paths if path.is_file() and path.suffix != ".pyc"]
    parents = sorted({file.parent for file in files})
    return [
        (f"share/{package_name}/{parent}", [str(file) for file in files if file.parent == parent]) for parent in parents
    ]


setup(
    name=package_name,
    version="0.1.0",
    description="Visuomotor policies on an SO-101 arm in ROS 2",
    license="Apache-2.0",
    maintainer="prana_ros developers",
    maintainer_email="maintainers@prana-ros.org",
    python_requires=">=3.12",
    extras_require={"test": ["pytest", "pytest-timeout", "hypothesis"]},  # by which colcon knows that pytest runs them
    packages=find_packages(include=[package_name, f"{package_name}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        *share("launch", "config", "checkpoints", "urdf"),
    ],
    entry_points={
        "console_scripts": [
            f"prana = {package_name}.cli:main",
            *(f"{node} = {package_name}.nodes.start:main" for node in nodes),
        ],
    },
    zip_safe=False,
)
