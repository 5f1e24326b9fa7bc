"""The driver node on the twin, each a process."""

from types import SimpleNamespace

import pytest
from support.driver_node import MODULE, PATIENCE, Driver

from prana_ros import resources

TWIN = ("-c", "from prana_ros.cli import main; main()", "twin")


@pytest.fixture
def port(processes, tmp_path):
    """The twin's serial port."""
    link = tmp_path / "arm"
    twin = processes.python(*TWIN, "--link", link)
    twin.wait_for("Ctrl-C ends the twin", timeout=PATIENCE)
    return SimpleNamespace(link=link, twin=twin)


@pytest.fixture
def start_driver(processes, port):
    """Start driver nodes on the twin."""

    def start_node(*ros_args, **changes):
        calibration = resources.packaged("config", "calibration")
        parameters = {"port": port.link, "robot_id": "twin", "calibration_dir": calibration}
        # A busy machine keeps the twin's line silent for longer than an arm's may be.
        parameters |= {"communication_timeout": 5.0, **changes}
        return processes.node(MODULE, parameters, *ros_args)

    return start_node


@pytest.fixture
def driver(ros, start_driver):
    """A driver node that is active."""
    return Driver(ros, start_driver())
