"""The twin at work: the simulated world in real time, its arms behind serial ports."""

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

from prana_ros.simulation.scene import Scene
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.simulation.world import CAMERAS, World

NANOSECONDS = 1_000_000_000
PATIENCE = 0.1
"""Seconds by which the physics may be late and still catch up; beyond that the lost time is given up and counted."""
_SWITCH_INTERVAL = 0.0005

logger = logging.getLogger(__name__)

Observer = Callable[[int, int], None]
"""Called after each step, by the physics thread, with the simulated time and the monotonic time it is due at (ns)."""


class Twin:
    """A world paced by the monotonic clock, with a servo bus for each arm.

    Attributes:
        world: the simulated world; stepped by the twin's own thread only.
        buses: the servo buses, in the order of ``world.arms``.
        real_time_factor: simulated seconds per second that the twin keeps to.
        lost_seconds: simulated time that was given up so far because the machine was too slow.
        failure: what ended the physics thread, None while all is well.
    """

    def __init__(self, world: World, links: Sequence[str | Path | None], real_time_factor: float = 1.0) -> None:
        """Plug in the arms; the time stands still until ``start``.

        Args:
            world: the world to run.
            links: where to put the symbolic link to each arm's port; None for no link.
            real_time_factor: simulated seconds per second, above 0.

        Raises:
            ValueError: if the number of links is not the number of arms, or the factor is not positive.
            OSError: if a link cannot be made.
        """
        if len(links) != len(world.arms):
            raise ValueError(f"The world has {len(world.arms)} arm(s), but {len(links)} link(s) were given.")
        if not 0.0 < real_time_factor < float("inf"):
            raise ValueError(f"real_time_factor is {real_time_factor}; it must be above 0.")
        self.world = world
        self.real_time_factor = real_time_factor
        self.lost_seconds = 0.0
        self.failure: BaseException | None = None
        self.buses: list[ServoBus] = []
        self._observers: list[Observer] = []
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future]] = queue.SimpleQueue()
        self._steps = 0
        self._step_ns = round(world.timestep * NANOSECONDS)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            for arm, link in zip(world.arms, links, strict=True):
                self.buses.append(ServoBus(arm, link))
        except OSError:
            self.close()
            raise

    @property
    def sim_time_ns(self) -> int:
        """Simulated nanoseconds since the twin was made; goes on through scene resets."""
        return self._steps * self._step_ns

    @property
    def is_driven(self) -> bool:
        """Whether a servo of any arm has its torque on."""
        return any(servo.driving for bus in self.buses for servo in bus.servos)

    @property
    def packets(self) -> int:
        """Packets that all buses have received so far."""
        return sum(bus.packets for bus in self.buses)

    def add_observer(self, observer: Observer) -> None:
        """Call ``observer`` after each step, in the order of addition; it must be quick."""
        self._observers = [*self._observers, observer]

    def remove_observer(self, observer: Observer) -> None:
        """Stop calling ``observer``."""
        self._observers = [other for other in self._observers if other != observer]

    def start(self) -> None:
        """Let time run."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="twin physics", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Let time stand still; the servos go on answering."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None
            self._make_calls()

    def close(self) -> None:
        """Stop and remove the ports and their links."""
        self.stop()
        for bus in self.buses:
            bus.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, function: Callable[[], Any]) -> Any:
        """Have ``function`` called between two steps and return its result.

        Raises:
            Exception: what ``function`` raises.
            RuntimeError: if the physics thread has failed.
        """
        if self._thread is None:
            return function()
        future: Future = Future()
        self._calls.put((function, future))
        while True:
            try:
                return future.result(timeout=1.0)
            except TimeoutError:
                if future.done():
                    raise
                if self.failure is not None:
                    raise RuntimeError(f"The simulation has stopped: {self.failure}") from self.failure

    def reset_scene(self, scene: Scene) -> bool:
        """Lay out ``scene``; an arm whose servos are all limp is put to rest as well.

        An arm under torque stays where it is: its driver keeps sending the old goal, and would pull it straight
        back, through whatever lies in between.

        Returns:
            Whether the arms were put to rest.
        """

        def reset() -> bool:
            limp = not self.is_driven
            self.world.reset(scene, keep_arms=not limp)
            if limp:
                for bus in self.buses:
                    bus.place()
            return limp

        return self.call(reset)

    def _run(self) -> None:
        try:
            self._pace()
        except Exception as error:
            self.failure = error
            logger.exception("the simulation has stopped")

    def _pace(self) -> None:
        timestep = self.world.timestep
        period_ns = round(self._step_ns / self.real_time_factor)
        due_ns = time.monotonic_ns()
        while not self._stopping.is_set():
            self._make_calls()
            for bus in self.buses:
                bus.update(timestep)
            self.world.step()
            self._steps += 1
            due_ns += period_ns
            for observer in self._observers:
                observer(self.sim_time_ns, due_ns)
            now_ns = time.monotonic_ns()
            late_ns = now_ns - due_ns
            if late_ns > PATIENCE * NANOSECONDS:
                self.lost_seconds += late_ns / NANOSECONDS * self.real_time_factor
                due_ns = now_ns
            elif late_ns < 0:
                time.sleep(-late_ns / NANOSECONDS)

    def _make_calls(self) -> None:
        while not self._calls.empty():
            function, future = self._calls.get()
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)


def measure_real_time_factor(
    scene: Scene, camera_size: tuple[int, int] = (320, 240), camera_fps: int = 30, arms: int = 1, duration: float = 0.5
) -> float:
    """How many simulated seconds one core of this machine makes in a second, cameras included.

    Args:
        scene: what the cameras see.
        camera_size: width and height of the images.
        camera_fps: images per simulated second of each camera; 0 for none.
        arms: number of arms.
        duration: simulated seconds to run.

    Returns:
        Simulated seconds per second; the twin keeps up with every factor below it that leaves room for whatever else
        runs on the machine.
    """
    world = World(scene, camera_size=camera_size, arms=arms)
    buses = [ServoBus(arm) for arm in world.arms]
    try:
        steps = max(1, round(duration / world.timestep))
        frames = round(duration * camera_fps)
        if frames:
            # Making the renderer takes longer than many images.
            world.render(CAMERAS[0])
        start = time.perf_counter()
        for _ in range(steps):
            for bus in buses:
                bus.update(world.timestep)
            world.step()
        for _ in range(frames):
            for camera in CAMERAS:
                world.render(camera)
        return steps * world.timestep / (time.perf_counter() - start)
    finally:
        for bus in buses:
            bus.close()
        world.close()


def prefer_this_process() -> None:
    """Make a process fit for a twin; to be called before its threads are started.

    A servo answers within a fraction of a millisecond however busy the computer is. So the threads that stand for
    the servos must get the interpreter quickly, and run before ordinary processes where the system allows it (root,
    or a limit for ``rtprio``).
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
