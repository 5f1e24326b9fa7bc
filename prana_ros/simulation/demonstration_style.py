"""Styles: how a pick and place is done. People differ in this, and so does one person from time to time.

Everything is moderate, because what a demonstration varies a policy has to learn. Two rules keep it learnable by a
policy without memory that plans a chunk of actions at a time:

- Where there are two good ways, the choice shows in the arm's pose soon after it is made, and both are shown on
  purpose within a band of scenes; nowhere does the way to go jump from one scene to the next.
- A state that looks like another one is left soon. Pauses are rarer than one in five and shorter than a third of a
  1.6 s chunk, so that every plan which begins in a pause contains its end. An attempt that fails does so visibly:
  the jaws are closed further than the handle lets them, and "open again" is what to do there however it came about.
"""

from dataclasses import dataclass

import numpy as np

PACE = 1.18
"""Motions are up to this factor faster or slower than usual."""
TURN_BAND = 0.35
"""Half width (rad) of the band of tool directions in which the handle is taken either way round."""
PAUSE_SHARE, PAUSES = 0.15, (0.2, 0.5)
"""How often, and how long (s), a pause over the handle or over the box is."""
MISS_SHARE = 0.08
"""How often the first attempt closes above the handle and is made again."""


@dataclass(frozen=True)
class DemonstrationStyle:
    """One way to do it; the defaults are the plain way. Meters, seconds and radians."""

    pace: float = 1.0
    """Factor on the speed of the wide motions: approach, carry, return."""
    care: float = 1.0
    """Factor on the speed of everything near the table."""
    turn_limit: float = np.pi / 2
    """Tools turned further than this away from lying across the arm are taken the other way round."""
    grasp_shift: float = 0.0
    """Where the handle is held: from its middle towards the tip."""
    hover: float = 0.075
    """Height from which the jaws come down."""
    hover_shift: tuple[float, float] = (0.0, 0.0)
    """Where they come down from: off the grasp, in the base frame."""
    carry: float = 0.105
    """Height at which the tool is carried."""
    place_shift: tuple[float, float] = (0.0, 0.0)
    """Off the middle of the box, in its own axes (width, length)."""
    pause_at_tool: float = 0.0
    pause_at_box: float = 0.0
    miss: float | None = None
    """Height over the grasp to which an attempt that closed above the handle is raised before the next; None: the first
    attempt is a good one."""


PLAIN = DemonstrationStyle()
"""The one way of a machine: the same scene gives the same motion."""


def draw_style(rng: np.random.Generator) -> DemonstrationStyle:
    """Draw a style such as people have."""
    angle = rng.uniform(-np.pi, np.pi)
    side = 0.015 * np.sqrt(rng.uniform())
    pauses = [float(rng.uniform(*PAUSES)) if rng.random() < PAUSE_SHARE else 0.0 for _ in range(2)]
    misses, raised = rng.random() < MISS_SHARE, float(rng.uniform(0.03, 0.06))
    return DemonstrationStyle(
        pace=float(PACE ** rng.uniform(-1, 1)),
        care=float(PACE ** rng.uniform(-1, 1)),
        turn_limit=float(np.pi / 2 + rng.uniform(-1, 1) * TURN_BAND),
        grasp_shift=float(rng.uniform(-0.006, 0.006)),
        hover=float(rng.uniform(0.065, 0.090)),
        hover_shift=(float(side * np.cos(angle)), float(side * np.sin(angle))),
        carry=float(rng.uniform(0.095, 0.120)),
        place_shift=(float(rng.uniform(-0.008, 0.008)), float(rng.uniform(-0.005, 0.005))),
        pause_at_tool=pauses[0],
        pause_at_box=pauses[1],
        miss=raised if misses else None,
    )
