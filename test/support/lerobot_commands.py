"""Run commands of stock LeRobot, one after the other in one process: its start costs more than a tiny run.

    python -m support.lerobot_commands lerobot_train --steps=2 ... THEN lerobot_record ...

What it changes is told by the environment:

    PRANA_TEST_PATIENCE_MS   how long LeRobot's bus waits for an answer, instead of 50 ms: the machine is busy
    PRANA_TEST_NO_PLUGIN     the distribution lerobot_policy_prana is not found
"""

import importlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import torch
from draccus.wrappers import docstring
from lerobot.configs.policies import PreTrainedConfig
from lerobot.utils.import_utils import register_third_party_plugins

THEN = "THEN"


def python_path() -> dict[str, str]:
    """The environment in which a process finds this module, and whatever LeRobot this process has."""
    return {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}


def run_lerobot(*commands: list[str], **environment: str) -> str:
    """Run LeRobot commands, one after the other in one process of their own; what it wrote to stderr."""
    arguments = [argument for command in commands for argument in (*command, THEN)][:-1]
    done = subprocess.run(
        [sys.executable, "-m", "support.lerobot_commands", *arguments],
        env={**os.environ, **python_path(), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr


def _hide_plugin() -> None:
    distributions = importlib.metadata.distributions

    def without_plugin(**kwargs):
        return (d for d in distributions(**kwargs) if d.metadata["Name"] != "lerobot_policy_prana")

    importlib.metadata.distributions = without_plugin
    register_third_party_plugins()
    known = PreTrainedConfig.get_known_choices()
    assert not any(kind.startswith("prana") for kind in known), known


def _be_patient(milliseconds: float) -> None:
    from lerobot.motors.feetech import feetech

    feetech.patch_setPacketTimeout = lambda handler, _length: handler.setPacketTimeoutMillis(milliseconds)


def _leave_out_help() -> None:
    """draccus parses the source of every dataclass for the text of --help: most of the time of a short command."""
    docstring.get_attribute_docstring = lambda *_: docstring.AttributeDocString()


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    _leave_out_help()
    if "PRANA_TEST_NO_PLUGIN" in os.environ:
        _hide_plugin()
    if patience := os.environ.get("PRANA_TEST_PATIENCE_MS"):
        _be_patient(float(patience))
    while arguments:
        end = arguments.index(THEN) if THEN in arguments else len(arguments)
        sys.argv = arguments[:end]
        arguments = arguments[end + 1 :]
        importlib.import_module(f"lerobot.scripts.{sys.argv[0]}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
