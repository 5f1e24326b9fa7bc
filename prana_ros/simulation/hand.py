"""A hand that moves the joints of an arm without torque: to the middle, through their ranges, or along a file."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prana_ros.so101.model import JOINT_NAMES, JOINTS

SPEED = 1.5
"""Highest speed of the hand, rad/s."""
COLUMNS = ("seconds", *JOINT_NAMES)
"""First line of a file for the hand; angles are in rad."""

_BEYOND = 0.1
"""How far (rad) beyond a joint's end the hand pushes, so that the joint gets there."""
_RATE = 5.0
"""1/s with which the hand learns what the arm's weight takes from it."""
_LARGEST_HELP = 0.3
"""rad: more help than the arm's weight needs would be pushing against an obstacle."""

Array = NDArray[np.float64]


class HandError(ValueError):
    """The hand cannot do that; the message is one sentence for the user."""


@dataclass(frozen=True)
class HandPath:
    """Where the hand takes the joints: straight from angle to angle.

    Attributes:
        seconds: (n,) when each row of ``angles`` is reached, increasing.
        angles: (n, 6) rad.
        repeats: whether the path begins anew after its end; else the hand stays there.
    """

    seconds: Array
    angles: Array
    repeats: bool = False

    def at(self, elapsed: float) -> Array:
        """The angles (6,) in rad, ``elapsed`` seconds after the beginning."""
        if self.repeats:
            elapsed %= self.seconds[-1]
        return np.array([np.interp(elapsed, self.seconds, column) for column in self.angles.T])


class Hand:
    """Follows a path with those joints that have no torque; takes hold where a joint is.

    The clock of the path stands while the hand is on its way to it, or holds no joint, so that it begins at its
    beginning and no joint is moved faster than ``SPEED``.
    """

    def __init__(self, path: HandPath) -> None:
        self._path = path
        self._elapsed = 0.0
        self._target: Array | None = None
        self._help = np.zeros(len(JOINT_NAMES))

    def pull(self, position: Array, limp: NDArray[np.bool_], dt: float) -> Array:
        """Where the hand pulls the joints (6,) in rad during the next ``dt`` seconds.

        Args:
            position: joint angles (6,) in rad.
            limp: (6,) which joints have no torque; what is returned for others is where they are.
        """
        if self._target is None:
            self._target = position.copy()
        self._target[~limp], self._help[~limp] = position[~limp], 0.0
        wanted = self._path.at(self._elapsed)
        way = (wanted - self._target) * limp
        reach = SPEED * dt
        self._target += np.clip(way, -reach, reach)
        if limp.any() and np.abs(way).max() <= reach:
            self._elapsed += dt
        self._help += (self._target - position) * _RATE * dt * limp
        np.clip(self._help, -_LARGEST_HELP, _LARGEST_HELP, out=self._help)
        return self._target + self._help


def hand_path(name: str) -> HandPath:
    """The path of this name: ``middle``, ``sweep``, or that in a file.

    Raises:
        HandError: if there is no such file, or it does not hold a path.
    """
    if name == "middle":
        return HandPath(np.zeros(1), MIDDLE[None])
    if name == "sweep":
        return _sweep()
    return read_path(Path(name))


MIDDLE = np.array([(joint.lower + joint.upper) / 2.0 for joint in JOINTS])
"""The middle of every joint's range (6,) in rad; of ``wrist_roll``, which turns all the way, its zero."""
MIDDLE[JOINT_NAMES.index("wrist_roll")] = 0.0


def read_path(path: Path) -> HandPath:
    """Read a file with the line ``COLUMNS`` and then rows of seconds and angles in rad, separated by commas.

    Raises:
        HandError: if there is no such file, or it does not hold a path.
    """
    try:
        with path.expanduser().open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        values = np.array(rows, dtype=float).reshape(len(rows), len(COLUMNS))
    except OSError as error:
        raise HandError(
            f"The hand cannot read {path}: {error.strerror}; allowed are middle, sweep or a file."
        ) from None
    except ValueError:
        raise HandError(f"{path} is no path for the hand: it needs rows of {len(COLUMNS)} numbers.") from None
    if tuple(header) != COLUMNS:
        raise HandError(f"The first line of {path} is {','.join(header)!r}; it must be {','.join(COLUMNS)!r}.")
    if not len(values) or not np.isfinite(values).all() or (np.diff(values[:, 0]) <= 0).any():
        raise HandError(f"{path} is no path for the hand: its seconds must increase from row to row, all finite.")
    return HandPath(values[:, 0] - values[0, 0], values[:, 1:])


def _sweep() -> HandPath:
    """From the middle to both ends of every joint and back, over and over, clear of the table."""
    low = np.array([joint.lower for joint in JOINTS]) - _BEYOND
    high = np.array([joint.upper for joint in JOINTS]) + _BEYOND
    pan, lift, elbow, wrist, roll, grip = range(6)
    stations = [MIDDLE.copy()]

    def go(**to: float) -> None:
        station = stations[-1].copy()
        for name, angle in to.items():
            station[JOINT_NAMES.index(name)] = angle
        stations.append(station)

    go(shoulder_lift=low[lift], elbow_flex=high[elbow], gripper=low[grip], shoulder_pan=low[pan])
    go(elbow_flex=MIDDLE[elbow], shoulder_pan=high[pan], gripper=high[grip])
    go(shoulder_lift=MIDDLE[lift], elbow_flex=low[elbow], shoulder_pan=MIDDLE[pan], wrist_flex=low[wrist])
    go(shoulder_lift=high[lift], wrist_roll=low[roll])
    go(shoulder_lift=MIDDLE[lift], wrist_flex=high[wrist], wrist_roll=high[roll])
    stations.append(MIDDLE.copy())
    angles = np.array(stations)
    durations = np.abs(np.diff(angles, axis=0)).max(axis=1) / SPEED + 0.3
    return HandPath(np.concatenate([[0.0], np.cumsum(durations)]), angles, repeats=True)
