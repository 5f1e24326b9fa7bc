"""Fixtures of all tests; see `support` for what they return."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.environment import isolate
from support.processes import Processes

import prana_ros.simulation  # noqa: F401 (chooses MuJoCo's OpenGL, which must be done before anything imports MuJoCo)

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread for each of several workers, before PyTorch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what runs in its background deaf to Ctrl-C, nohup deaf to SIGHUP, and so would be every process that a
# test starts.
for _number, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

# Before anything imports rclpy or LeRobot: both read the environment when they are imported.
_DIRECTORY = Path(tempfile.mkdtemp(prefix="prana_ros_test_"))
_DOMAIN_LOCK = isolate(_DIRECTORY)

# How long an example takes says nothing here: the machine is shared with the processes of other tests.
# The same examples in every run: whether a change passes is not a matter of luck. Others: --hypothesis-profile=explore
_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", _MACHINE)
settings.register_profile("repeatable", _MACHINE, derandomize=True)
settings.load_profile("repeatable")

_PROCESS = {"processes", "ros", "starts_processes"}
"""Fixtures of tests that start processes: `make test-fast` leaves them out."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they use: processes of their own, or the machine for themselves alone."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if "measures_time" in used:
            item.add_marker(pytest.mark.real_time)
        elif used & _PROCESS:
            item.add_marker(pytest.mark.process)


def pytest_unconfigure() -> None:
    shutil.rmtree(_DIRECTORY, ignore_errors=True)
    _DOMAIN_LOCK.close()


@pytest.fixture(scope="session")
def measures_time() -> None:
    """For tests that judge how long something takes: they must not share the machine with other tests."""


@pytest.fixture(scope="session")
def starts_processes() -> None:
    """For tests that start processes without the fixture `processes`."""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Start real processes; all of them are ended after the test."""
    started = Processes(tmp_path)
    yield started
    started.end()


@pytest.fixture
def ros() -> Iterator["RosProbe"]:  # noqa: F821 (rclpy is not wanted by tests of the core)
    """A spinning node in the test process, in the test run's ROS domain."""
    from support.ros import RosProbe

    probe = RosProbe()
    yield probe
    probe.close()
