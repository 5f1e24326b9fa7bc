"""The twin's cameras: images on an exact time grid, drawn beside the physics."""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from prana_ros.simulation.twin import NANOSECONDS, Twin
from prana_ros.simulation.world import CAMERAS, Snapshot

Clock = Callable[[int, int], int]
"""Stamp (ns) of a state, from its simulated time and the monotonic time it is due at (ns)."""

FrameSink = Callable[[str, np.ndarray, int], None]
"""Takes a camera's name, its image (height, width, 3) uint8 RGB, and the stamp (ns); called by the drawing thread."""


class TwinCameras:
    """Draws every camera at the stamps k / fps.

    The physics thread takes a snapshot when a grid point has come, a thread of its own draws it. An image that is
    due while the last ones are still being drawn is left out: what is published always shows the time it is
    stamped with.

    Attributes:
        skipped: number of grid points left out so far.
        failure: what ended the drawing thread, None while all is well.
    """

    def __init__(self, twin: Twin, fps: int, clock: Clock, sink: FrameSink, cameras: Sequence[str] = CAMERAS) -> None:
        """Prepare; nothing is drawn until ``start``."""
        if fps < 1:
            raise ValueError(f"camera fps is {fps}; it must be at least 1.")
        self.skipped = 0
        self.failure: Exception | None = None
        self._twin, self._fps, self._clock, self._sink, self._cameras = twin, fps, clock, sink, tuple(cameras)
        self._last: int | None = None
        self._due: tuple[int, Snapshot] | None = None
        self._wake = threading.Condition()
        self._drawing = self._stopping = False
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the renderer and draw from the next grid point on.

        Raises:
            RuntimeError: if this machine cannot draw; the message says what is missing.
        """
        self._stopping, self._last = False, None
        self._ready.clear()
        self._thread = threading.Thread(target=self._draw_all, name="twin cameras", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self.failure is not None:
            self.stop()
            raise RuntimeError(
                f"The twin's cameras cannot draw ({self.failure}): install libegl1 and libgl1-mesa-dri, or libosmesa6."
            ) from self.failure
        self._twin.add_observer(self._look)

    def stop(self) -> None:
        """Draw no more and close the renderer."""
        self._twin.remove_observer(self._look)
        if self._thread is not None:
            with self._wake:
                self._stopping = True
                self._wake.notify()
            self._thread.join()
            self._thread = None

    def _look(self, sim_time_ns: int, due_ns: int) -> None:
        """Take a snapshot if a grid point has been passed since the last step."""
        point = self._clock(sim_time_ns, due_ns) * self._fps // NANOSECONDS
        if self._last is None or point < self._last - self._fps:
            # The start, or a clock that was set back: the next grid point is the first to be drawn.
            self._last = point
            return
        if point <= self._last:
            return
        self.skipped += point - self._last - 1
        self._last = point
        with self._wake:
            if self._drawing or self._due is not None:
                self.skipped += 1
                return
            self._due = (point * NANOSECONDS // self._fps, self._twin.world.snapshot())
            self._wake.notify()

    def _draw_all(self) -> None:
        world = self._twin.world
        try:
            world.render(self._cameras[0])
            self._ready.set()
            while (due := self._next()) is not None:
                stamp_ns, snapshot = due
                for camera in self._cameras:
                    self._sink(camera, world.render(camera, snapshot), stamp_ns)
                with self._wake:
                    self._drawing = False
        except Exception as error:
            self.failure = error
        finally:
            world.close()
            self._ready.set()

    def _next(self) -> tuple[int, Snapshot] | None:
        """Wait for the next image to draw; None when it is time to stop."""
        with self._wake:
            self._wake.wait_for(lambda: self._stopping or self._due is not None)
            if self._stopping:
                return None
            due, self._due = self._due, None
            self._drawing = True
            return due
