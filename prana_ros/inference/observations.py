"""Pair the newest images and joint state by their time of capture. Nothing is ever filled in.

The observation is made at t_obs, the oldest among the newest stamps of the inputs. Every input gives its newest
sample at or before t_obs, with half its own period of grace: two cameras that are not synchronized pair with their
nearest frames.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prana_ros.inference.plan import NANOSECONDS
from prana_ros.inference.predictor import PolicyInput
from prana_ros.inference.streams import InputReading, InputStream, InputSummary
from prana_ros.so101.model import JOINT_NAMES

JOINT_STATES = "joint_states"
"""The name of the joint state among the inputs."""
FUTURE_TOLERANCE = 0.1
"""How far (s) a stamp may lie in the future: clocks of one machine agree, another host's may not."""


class InputError(RuntimeError):
    """An input is missing, frozen, too old or unusable; the message is one sentence that names it."""


@dataclass(frozen=True)
class Observation:
    """What the policy sees at ``t_obs_ns``: one ``PolicyInput`` per observation step, the newest last."""

    t_obs_ns: int
    awaited_input: str
    """The input whose newest sample is the oldest: the one that the next observation waits for."""
    history: tuple[PolicyInput, ...]
    readings: tuple[InputReading, ...]

    @property
    def skew(self) -> float:
        """Newest minus oldest of the stamps used (s)."""
        stamps = [reading.stamp_ns for reading in self.readings]
        return (max(stamps) - min(stamps)) / NANOSECONDS

    def stale_camera(self, earlier: "Observation") -> str | None:
        """The camera to wait for, the one with the oldest image, if no image is newer than ``earlier`` had it.

        Joint states come several times for each image, and alone are no reason to predict anew.
        """
        seen = {reading.name: reading.stamp_ns for reading in earlier.readings}
        cameras = [reading for reading in self.readings if reading.name != JOINT_STATES]
        if not cameras or any(reading.stamp_ns > seen[reading.name] for reading in cameras):
            return None
        return min(cameras, key=lambda reading: reading.stamp_ns).name


class ObservationBuffer:
    """The newest samples of all inputs that a policy needs. Any thread may add and observe.

    Args:
        cameras: names of the cameras.
        step_ns: time between the observations of a history.
        observation_steps: length of the history.
        max_age: age (s) above which an input is too old to act on.
    """

    def __init__(self, cameras: Iterable[str], step_ns: int, observation_steps: int = 1, max_age: float = 0.5) -> None:
        self._step_ns = step_ns
        self._observation_steps = observation_steps
        self._max_age = max_age
        keep_ns = round(max_age * NANOSECONDS) + observation_steps * step_ns
        self._cameras = tuple(cameras)
        self._streams = {name: InputStream(name, keep_ns) for name in (*self._cameras, JOINT_STATES)}
        self._lock = threading.Lock()
        self._arrival = threading.Event()

    def add_image(self, camera: str, stamp_ns: int, image: np.ndarray) -> None:
        """Store an image (H, W, 3) uint8 rgb."""
        with self._lock:
            self._streams[camera].add(stamp_ns, image)
        self._arrival.set()

    def add_joint_state(self, stamp_ns: int, names: Sequence[str], positions: Sequence[float]) -> None:
        """Store a joint state in rad, matched by name; one with a joint missing or not finite becomes a fault."""
        values = dict(zip(names, positions, strict=False))
        missing = [name for name in JOINT_NAMES if name not in values]
        if missing:
            self.report_fault(JOINT_STATES, f"Input {JOINT_STATES!r} lacks the position of {', '.join(missing)}.")
            return
        state = np.array([values[name] for name in JOINT_NAMES], dtype=np.float64)
        bad = [name for name, value in zip(JOINT_NAMES, state, strict=True) if not np.isfinite(value)]
        if bad:
            self.report_fault(JOINT_STATES, f"Input {JOINT_STATES!r} gives no finite position of {', '.join(bad)}.")
            return
        with self._lock:
            self._streams[JOINT_STATES].add(stamp_ns, state)
        self._arrival.set()

    def wait(self, timeout: float) -> None:
        """Return when something has arrived since the last wait, or after ``timeout`` (s)."""
        self._arrival.wait(timeout)
        self._arrival.clear()

    def report_fault(self, name: str, sentence: str) -> None:
        """A message of an input came that cannot be used; holds until a good one comes."""
        with self._lock:
            self._streams[name].received += 1
            self._streams[name].fault = sentence

    def clear(self) -> None:
        """Forget all samples, so that the next observation is made of what comes from now on."""
        with self._lock:
            for stream in self._streams.values():
                stream.clear()

    def lost(self) -> dict[str, int]:
        """Frames lost by each input since the buffer was made: gaps in the stamps of capture."""
        with self._lock:
            return {name: stream.lost for name, stream in self._streams.items()}

    def summaries(self) -> dict[str, InputSummary]:
        """What each input has sent since the buffer was made."""
        with self._lock:
            return {name: stream.summary() for name, stream in self._streams.items()}

    def observe(self, now_ns: int) -> Observation:
        """Pair the inputs.

        Raises:
            InputError: if one is missing, frozen, too old, from the future or unusable.
        """
        with self._lock:
            sentences = [text for stream in self._streams.values() if (text := self._complaint(stream, now_ns))]
            if sentences:
                raise InputError(" ".join(sentences))
            latest = min(self._streams.values(), key=lambda stream: stream.samples[-1][0])
            t_obs_ns = latest.samples[-1][0]
            targets = [t_obs_ns - k * self._step_ns for k in reversed(range(self._observation_steps))]
            paired = [{name: self._sample(stream, t) for name, stream in self._streams.items()} for t in targets]
            readings = tuple(
                self._reading(stream, paired[-1][stream.name][0], now_ns) for stream in self._streams.values()
            )
        too_old = [reading for reading in readings if reading.age > self._max_age]
        if too_old:
            raise InputError(" ".join(self._age_sentence(reading.name, reading.age) for reading in too_old))
        history = tuple(
            PolicyInput(samples[JOINT_STATES][1], {camera: samples[camera][1] for camera in self._cameras})
            for samples in paired
        )
        return Observation(t_obs_ns, latest.name, history, readings)

    def _complaint(self, stream: InputStream, now_ns: int) -> str:
        """Why an input cannot be used now; empty if it can."""
        if stream.fault:
            return stream.fault
        if not stream.samples:
            return f"Input {stream.name!r} has published nothing."
        age = (now_ns - stream.samples[-1][0]) / NANOSECONDS
        if age < -FUTURE_TOLERANCE:
            return (
                f"Input {stream.name!r} is stamped {-age:.2f} s in the future; "
                f"at most {FUTURE_TOLERANCE:.2f} s is allowed (do all nodes use the same clock?)."
            )
        if age <= self._max_age:
            return ""
        if stream.repeated:
            return (
                f"Input {stream.name!r} is frozen: its stamp has not changed for {age:.2f} s "
                f"while {stream.repeated} messages came."
            )
        return self._age_sentence(stream.name, age)

    def _age_sentence(self, name: str, age: float) -> str:
        return f"Input {name!r} is {age:.2f} s old; at most {self._max_age:.2f} s is allowed."

    def _sample(self, stream: InputStream, time_ns: int) -> tuple[int, Any]:
        """The sample of an input for a time, not more than one step too old for its place in the history."""
        sample = stream.newest_until(time_ns)
        if sample is None or (
            self._observation_steps > 1 and sample[0] <= time_ns - max(self._step_ns, stream.period_ns)
        ):
            raise InputError(f"Input {stream.name!r} has no sample yet for every time that the policy looks back to.")
        return sample

    @staticmethod
    def _reading(stream: InputStream, stamp_ns: int, now_ns: int) -> InputReading:
        return InputReading(stream.name, stamp_ns, (now_ns - stamp_ns) / NANOSECONDS, stream.received, stream.lost)
