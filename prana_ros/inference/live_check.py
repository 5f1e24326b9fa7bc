"""Do the live inputs suit the policy? Judged when the policy node is activated, before the motors get torque."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prana_ros.inference.loaded_policy import size_complaint
from prana_ros.inference.observations import JOINT_STATES
from prana_ros.inference.spec import PolicySpec
from prana_ros.inference.streams import InputSummary

RATE_TIME = 1.0
"""Seconds between the first and the newest stamp of a camera over which its rate is measured."""
RATE_PATIENCE = 3.0
"""Seconds of wall time after which a shorter measurement is enough: in a slow simulation the stamps proceed slowly."""


@dataclass(frozen=True)
class Source:
    """Where an input comes from: the topic's full name and how many publish it."""

    topic: str
    publishers: int


@dataclass
class LiveCheck:
    """Judges what the inputs of a policy have sent since somebody began to listen.

    Args:
        spec: of the policy.
        policy_rate: actions a second as they are played.
        min_camera_rate: the lowest rate of a camera, as a fraction of the policy's.
    """

    spec: PolicySpec
    policy_rate: float
    min_camera_rate: float
    _all_came_at: float | None = field(default=None, init=False)

    def is_complete(self, inputs: Mapping[str, InputSummary], time_s: float) -> bool:
        """Whether every input has sent enough to be judged at this time of a monotonic wall clock."""
        cameras = [inputs[name] for name in self.spec.cameras]
        if not inputs[JOINT_STATES].stamps or any(camera.stamps < 2 for camera in cameras):
            return False
        if self._all_came_at is None:
            self._all_came_at = time_s
        return all(camera.span >= RATE_TIME for camera in cameras) or time_s - self._all_came_at >= RATE_PATIENCE

    def complaints(self, inputs: Mapping[str, InputSummary], sources: Mapping[str, Source], waited: float) -> list[str]:
        """What is wrong with the inputs after ``waited`` seconds, a sentence each; empty if nothing is."""
        sentences = [self._complaint(name, seen, sources[name], waited) for name, seen in inputs.items()]
        return [sentence for sentence in sentences if sentence]

    def _complaint(self, name: str, seen: InputSummary, source: Source, waited: float) -> str:
        if seen.fault:
            return seen.fault
        if not seen.stamps:
            return f"Input {name!r} has sent nothing in {waited:.0f} s: {_publishers(source)}."
        if name == JOINT_STATES:
            return ""
        if seen.stamps == 1 and seen.received > 1:
            return f"Input {name!r} is frozen: {seen.received} images came with the same stamp on {source.topic}."
        if seen.stamps == 1:
            return f"Input {name!r} has sent one image in {waited:.0f} s: {_publishers(source)}."
        channels, height, width = self.spec.cameras[name]
        return size_complaint(name, seen.shape, (height, width, channels)) or self._rate_complaint(name, seen.rate)

    def _rate_complaint(self, camera: str, rate: float) -> str:
        needed = self.min_camera_rate * self.policy_rate
        if rate >= needed:
            return ""
        return (
            f"Camera {camera!r} gives {rate:.1f} images a second, a policy of {self.policy_rate:g} actions a second "
            f"needs at least {needed:.1f}; to allow a slower camera set min_camera_rate below {self.min_camera_rate:g}."
        )


def _publishers(source: Source) -> str:
    if not source.publishers:
        return f"nobody publishes {source.topic}"
    return f"{source.topic} has {source.publishers} publisher{'s' if source.publishers > 1 else ''}"
