import os
import signal
import sys

import pytest
from support.ros import wait_until

from prana_ros.nodes.signals import PARENT

CHILD = """
import os, pathlib, signal, sys, time
from prana_ros.nodes.signals import on_stop_signal, watch_parent
mark = pathlib.Path(sys.argv[1])
def stop(number, _frame):
    mark.write_text(signal.Signals(number).name)
    os._exit(0)
on_stop_signal(stop)
watch_parent()
print("ready", flush=True)
time.sleep(60)
"""
STARTER = """
import subprocess, sys, time
from prana_ros.nodes.signals import parent_environment
import os
subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], env={**os.environ, **parent_environment()})
time.sleep(60)
"""


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "stopped_by"


def test_a_process_whose_parent_is_killed_gets_sigterm(processes, mark):
    starter = processes.python("-c", STARTER, CHILD, mark)
    starter.wait_for("ready")
    starter.send(signal.SIGKILL)
    wait_until(mark.exists, 10.0, lambda: "the child did not notice")
    assert mark.read_text() == "SIGTERM"


def test_a_process_whose_parent_is_gone_before_it_looks_gets_sigterm(processes, mark):
    gone = processes.python("-c", "")
    gone.must_end(0)
    processes.start(sys.executable, "-c", CHILD, mark, env={PARENT: str(gone.pid)}).must_end(0)
    assert mark.read_text() == "SIGTERM"


def test_nobody_is_watched_who_does_not_ask(processes, mark):
    child = processes.python("-c", CHILD, mark)
    child.wait_for("ready")
    child.send(signal.SIGHUP)
    child.must_end(0)
    assert mark.read_text() == "SIGHUP"


def test_a_hangup_stays_ignored_where_nohup_says_so(processes, mark):
    child = processes.start("nohup", sys.executable, "-c", CHILD, mark)
    child.wait_for("ready")
    child.send(signal.SIGHUP)
    child.send(signal.SIGTERM)
    child.must_end(0)
    assert mark.read_text() == "SIGTERM"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_node_that_still_imports_ends_at_once_without_a_traceback(processes, number):
    node = processes.python("-X", "importtime", "-m", "prana_ros.nodes.start", "policy")
    node.wait_for(r"torch\._C")
    os.kill(node.pid, number)
    node.must_end(0)
    assert "Traceback" not in node.output
    assert "KeyboardInterrupt" not in node.output
