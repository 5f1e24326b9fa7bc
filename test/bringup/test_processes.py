import os
import signal
import sys
import time

import pytest

from prana_ros.bringup.processes import NodeProcess, describe_exit, last_error, python_module

SAY_AND_SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " + SAY_AND_SLEEP
DEAF = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; " + SAY_AND_SLEEP
ORDERLY = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
print('ready', flush=True)
time.sleep(60)
"""


class Lines:
    def __init__(self):
        self.all = []

    def __call__(self, name, severity, text):
        self.all.append((name, severity, text))

    def wait_for(self, text, timeout=20.0):
        end = time.monotonic() + timeout
        while not any(line[2] == text for line in self.all):
            assert time.monotonic() < end, self.all
            time.sleep(0.01)


@pytest.fixture
def lines():
    return Lines()


@pytest.fixture
def start(lines):
    started = []

    def start_code(code):
        process = NodeProcess("node", [sys.executable, "-c", code], lines)
        started.append(process)
        return process

    yield start_code
    for process in started:
        if process.exit_code is None:
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_process_that_a_signal_killed_is_described_by_that_signal(start, lines, number):
    process = start(SAY_AND_SLEEP)
    lines.wait_for("ready")
    os.kill(process.pid, number)
    assert process.wait(10.0)
    assert describe_exit(process.exit_code) == f"was killed by {number.name} ({number.value})"


def test_a_process_that_ended_itself_is_described_by_its_exit_code(start):
    process = start("raise SystemExit(3)")
    assert process.wait(10.0)
    assert describe_exit(process.exit_code) == "exited with code 3"


def test_a_signal_without_a_name_is_described_by_its_number():
    assert describe_exit(-40) == "was killed by signal 40"


def test_an_orderly_stop_is_nothing_to_complain_about(start, lines):
    process = start(ORDERLY)
    lines.wait_for("ready")
    assert process.stop(patience=10.0) == ""
    assert process.exit_code == 0


def test_a_process_that_overhears_sigint_is_ended_by_sigterm(start, lines):
    process = start(STUBBORN)
    lines.wait_for("ready")
    assert process.stop(patience=0.2) == "did not stop within 0 s and was ended by SIGTERM"


def test_a_process_that_overhears_everything_is_killed(start, lines, monkeypatch):
    monkeypatch.setattr("prana_ros.bringup.processes.TERMINATE_TIME", 0.2)
    process = start(DEAF)
    lines.wait_for("ready")
    assert process.stop(patience=0.2).endswith("ended by SIGKILL")
    assert process.exit_code == -signal.SIGKILL


def test_log_lines_are_told_from_other_output_and_the_last_error_is_kept(start, lines):
    process = start(
        "print('[INFO] [1700000000.123456789] [policy]: loading')\n"
        "print('[ERROR] [1700000000.2] [arm.policy]: cannot configure: no such folder')\n"
        "print('Traceback')"
    )
    assert process.wait(10.0)
    assert lines.all == [
        ("node", "INFO", "loading"),
        ("node", "ERROR", "cannot configure: no such folder"),
        ("node", "OUTPUT", "Traceback"),
    ]
    assert process.last_error == "cannot configure: no such folder"


def test_a_real_node_logs_in_the_format_that_is_understood(lines):
    process = NodeProcess(
        "node", [*python_module("prana_ros.nodes.start"), "episodes", "--ros-args", "-p", "episodes:=0"], lines
    )
    try:
        time.sleep(1.0)
    finally:
        assert process.stop(patience=20.0) == ""
    # Stopped before or after rclpy was up: whatever the node logged was understood.
    assert not [line for line in lines.all if line[1] == "OUTPUT" and line[2].startswith("[")]


def test_a_child_is_told_which_process_to_watch(start, lines):
    assert start("import os; print(os.environ['PRANA_PARENT'])").wait(10.0)
    assert lines.all == [("node", "OUTPUT", str(os.getpid()))]


def test_the_last_error_is_found_in_what_several_lines_say():
    output = "[ERROR] [1.5] [policy]: first\n[FATAL] [1.6] [policy]: second\n[INFO] [1.7] [policy]: third\n"
    assert last_error(output) == "second"
    assert last_error("[INFO] [1.7] [policy]: third") == ""
