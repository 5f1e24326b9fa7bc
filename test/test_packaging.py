"""What the package declares against what its modules import."""

import ast
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROSDEP_KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "filelock": "python3-filelock",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "scipy": "python3-scipy",
    "serial": "python3-serial",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}
"""Of Python modules; a ROS package is declared by its own name."""
BY_PIP = {"lerobot", "timm", "mujoco"}
WITH_LEROBOT = {
    "accelerate",
    "av",
    "datasets",
    "gymnasium",
    "huggingface_hub",
    "pyarrow",
    "safetensors",
    "torch",
    "torchvision",
    "transformers",
}
"""What LeRobot brings in the versions that it needs, transformers as an extra for v1's language."""


def imported() -> set[str]:
    """The top-level names that the package and its launch files import, without the standard library and itself."""
    names = set()
    for path in [*ROOT.glob("prana_ros/**/*.py"), *ROOT.glob("launch/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"prana_ros"}


def test_every_import_is_declared_with_its_rosdep_key_or_comes_by_pip():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    declared = {element.text for kind in ("depend", "exec_depend") for element in package.findall(kind)}
    needed = {ROSDEP_KEYS.get(name, name) for name in imported() - BY_PIP - WITH_LEROBOT}
    assert needed <= declared, needed - declared
    started = {"robot_state_publisher", "rviz2"}  # as processes, not as modules
    assert declared <= needed | started, declared - needed


def test_the_readme_says_what_comes_by_pip():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.strip().startswith('pip install "lerobot')]
    assert all(name in line for name in BY_PIP)
