"""A small node, run as a process by the tests of the base class."""

import os
import signal
import time
from typing import Any

from rclpy.action import ActionServer
from std_msgs.msg import String
from std_srvs.srv import Trigger

from prana_msgs.action import RunPolicy
from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.parameters import Changeable, declare
from prana_ros.nodes.run_node import run_node


class ExampleNode(PranaNode):
    """Says which hook runs; fails where `fail_in` says so."""

    def __init__(self) -> None:
        super().__init__("example")
        declare(self, "rate", 10.0, "how often to publish, Hz", range=(1.0, None))
        declare(self, "gain", 1.0, "a factor that may change", range=(0.0, 2.0), changeable=Changeable.ALWAYS)
        declare(self, "mode", "fast", "how to work", choices=("fast", "slow"))
        declare(self, "limits", [0.5, 1.0], "one limit per joint, rad", range=(0.0, 3.0))
        declare(self, "fail_in", "", "the hook that fails, and how, for example configure:OSError")
        declare(self, "cleanup_time", 0.0, "how long cleaning up takes, s")

    def _run_hook(self, name: str) -> None:
        print(f"hook {name}", flush=True)
        hook, _, error = self.value("fail_in").partition(":")
        if hook == name:
            raise {"OSError": OSError, "KeyError": KeyError}[error]("the port is not there")

    def configure(self) -> None:
        self.words = self.create_lifecycle_publisher(String, "~/words", 10)
        self.create_timer(1.0 / self.value("rate"), lambda: self.words.publish(String(data="word")))
        self.create_service(Trigger, "~/crash", self._crash)
        self.create_service(Trigger, "~/finish", self._finish)
        self.create_service(Trigger, "~/crash_when_stopped", self._crash_when_stopped)
        self.create_subscription(String, "~/heard", lambda _: None, 10)
        self.run_policy = ActionServer(self, RunPolicy, "~/run", lambda goal: RunPolicy.Result())
        self._run_hook("configure")

    def activate(self) -> None:
        self._run_hook("activate")

    def deactivate(self) -> None:
        self._run_hook("deactivate")

    def check_cleanup(self) -> None:
        if self.value("fail_in").startswith("check_cleanup"):
            self._run_hook("check_cleanup")

    def cleanup(self) -> None:
        time.sleep(self.value("cleanup_time"))
        self._run_hook("cleanup")

    def _crash(self, _request: Any, _response: Any) -> Any:
        raise LookupError("a defect")

    def _crash_when_stopped(self, _request: Any, _response: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        raise LookupError("a defect while the node stops")

    def _finish(self, _request: Any, response: Any) -> Any:
        self.finish(exit_code=7)
        response.success = True
        return response


if __name__ == "__main__":
    code = run_node(ExampleNode)
    print(f"ended in process {os.getpid()}", flush=True)
    raise SystemExit(code)
