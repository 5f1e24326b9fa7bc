import io
import re

from prana_ros.bringup.processes import OUTPUT
from prana_ros.bringup.terminal import Terminal


class Screen(io.StringIO):
    """A terminal: what it shows is what remains after every erased line."""

    def isatty(self):
        return True

    @property
    def shown(self):
        return [line.split("\r\033[K")[-1] for line in self.getvalue().split("\n")]


def test_on_a_terminal_there_is_one_status_line_below_the_messages(tmp_path):
    screen = Screen()
    terminal = Terminal(tmp_path / "run.log", screen)
    terminal.status("starting")
    terminal.say("the graph is up")
    terminal.status("arm following")
    terminal.say("episode 1 of 3: success")
    assert screen.shown == ["the graph is up", "episode 1 of 3: success", "arm following"]


def test_elsewhere_the_status_is_a_line_now_and_then(tmp_path):
    stream = io.StringIO()
    terminal = Terminal(tmp_path / "run.log", stream)
    for second in range(5):
        terminal.status(f"{second} s")
    assert stream.getvalue() == "0 s\n"


def test_warnings_of_nodes_are_shown_and_everything_is_logged(tmp_path):
    stream = io.StringIO()
    terminal = Terminal(tmp_path / "run.log", stream)
    terminal.node_line("policy", "INFO", "loading")
    terminal.node_line("policy", "ERROR", "cannot configure: no such folder")
    terminal.node_line("twin", OUTPUT, "Traceback")
    terminal.say("policy: cannot configure: no such folder")
    terminal.close()
    assert stream.getvalue() == "policy: cannot configure: no such folder\n"
    logged = (tmp_path / "run.log").read_text().splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in logged] == [
        "policy: INFO loading",
        "policy: ERROR cannot configure: no such folder",
        "twin: Traceback",
        "prana: policy: cannot configure: no such folder",
    ]
