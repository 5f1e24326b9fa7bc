"""The driver node with a defect: its servo cycle fails in the mode that DRIVER_BREAKS_IN names."""

import os
import sys

import prana_ros.nodes.so101_driver as node
from prana_ros.so101.driver_state import DriverMode

BREAKS_IN = DriverMode[os.environ["DRIVER_BREAKS_IN"]]


class Driver(node.ArmDriver):
    def cycle(self, now_ns: int) -> bool:
        if self.state(now_ns).mode is BREAKS_IN:
            raise ZeroDivisionError("a defect")
        return super().cycle(now_ns)


node.ArmDriver = Driver

if __name__ == "__main__":
    sys.exit(node.main())
