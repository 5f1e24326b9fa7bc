"""An arm without masses: each joint goes towards its goal at a limited speed while its torque is on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from prana_ros.simulation.servo_bus import ServoBus

STEP = 0.002
SPEED = 5.0


class KinematicPlant:
    """An ``ArmPlant`` whose state a test may set."""

    def __init__(self) -> None:
        self.position = np.zeros(6)
        self.velocity = np.zeros(6)
        self.torque = np.zeros(6)
        self.goal = np.zeros(6)
        self.torque_enabled = np.zeros(6, bool)
        self.torque_limit = np.ones(6)

    def step(self) -> None:
        """Advance by ``STEP`` seconds."""
        way = np.clip(self.goal - self.position, -SPEED * STEP, SPEED * STEP) * self.torque_enabled
        self.velocity = way / STEP
        self.position = self.position + way


@contextmanager
def running(bus: ServoBus) -> Iterator[None]:
    """Let time run for a bus and its kinematic plant."""
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            bus.update(STEP)
            bus.plant.step()
            time.sleep(STEP)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
