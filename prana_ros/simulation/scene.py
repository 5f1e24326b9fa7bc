"""Scenes: where the screwdriver and the box lie and what everything looks like, drawn from a seed."""

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from prana_ros.so101.model import JOINTS

TRAINING_SEEDS = 1_000_000
"""Demonstrations use seeds from here upwards; everything below is for evaluation, so no episode is seen twice."""

PAN_AXIS = np.array(JOINTS[0].origin[:2])
"""Where the arm's vertical axis stands on the table (m)."""

TOOL_LENGTH = 0.150
TOOL_RADIUS = 0.009
TOOL_BACK, TOOL_TIP = -0.0425, TOOL_LENGTH - 0.0425
"""Both ends of the screwdriver on its own x axis (m); the origin is the middle of the handle, where it is grasped."""

BOX_INNER = np.array([0.055, 0.095])
"""Half the inner width and length of the box (m)."""
BOX_WALL = 0.004
BOX_HEIGHT = 0.045

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """Everything that differs between episodes. Meters and radians in the base frame, colors 0..1."""

    seed: int
    tool_position: tuple[float, float]
    tool_yaw: float
    """Direction from handle to tip, from the x axis."""
    box_position: tuple[float, float]
    box_yaw: float
    tool_color: Color
    box_color: Color
    table_color: Color
    light: float = 1.0
    camera_shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    camera_turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Small rotation vector of the table camera."""
    friction: float = 1.0
    """Factor on the friction of every contact."""
    tool_mass: float = 1.0
    """Factor on the screwdriver's mass."""
    tool_length: float = 1.0
    """Factor on the screwdriver's length; the handle is grasped in its middle all the same."""
    tool_thickness: float = 1.0
    """Factor on the handle's radius."""

    @property
    def tool_radius(self) -> float:
        """Of this screwdriver's handle (m)."""
        return TOOL_RADIUS * self.tool_thickness

    @property
    def tool_ends(self) -> tuple[float, float]:
        """Both ends of this screwdriver on its own x axis (m): the handle's and the tip."""
        return TOOL_BACK * self.tool_length, TOOL_TIP * self.tool_length


@dataclass(frozen=True)
class SceneDistribution:
    """Ranges that scenes are drawn from, uniformly. Angles in rad, lengths in m; saturations and values ± 0.05."""

    name: str
    for_training: bool = True
    """False: kept for reporting, so that a policy meets something that it cannot have learned."""
    radius: tuple[float, float] = (0.15, 0.235)
    """Of the middle of the handle, from the arm's vertical axis."""
    azimuth: tuple[float, float] = (-0.35, 0.75)
    yaw: float = 0.9
    """Largest turn of the tool away from lying across the arm."""
    tool_hue: tuple[float, float] = (-0.03, 0.05)
    tool_saturation: float = 0.85
    tool_value: float = 0.80
    box_hue: tuple[float, float] = (0.57, 0.61)
    table_hue: tuple[float, float] = (0.07, 0.10)
    box_azimuth: float = -1.05
    box_radius: float = 0.205
    box_shift: float = 0.0
    light: tuple[float, float] = (0.95, 1.05)
    camera_shift: float = 0.0
    camera_turn: float = 0.0
    friction: tuple[float, float] = (1.0, 1.0)
    tool_mass: tuple[float, float] = (1.0, 1.0)
    tool_length: tuple[float, float] = (1.0, 1.0)
    tool_thickness: tuple[float, float] = (1.0, 1.0)


STANDARD = SceneDistribution("standard")
HARD = SceneDistribution(
    "hard",
    yaw=np.pi,
    tool_hue=(0.0, 1.0),
    box_shift=0.02,
    light=(0.6, 1.3),
    camera_shift=0.006,
    camera_turn=0.01,
    friction=(0.85, 1.15),
    tool_mass=(0.8, 1.25),
)
SHIFTED = replace(
    HARD,
    name="shifted",
    for_training=False,
    tool_saturation=0.45,
    tool_value=0.55,
    box_hue=(0.28, 0.45),
    table_hue=(0.45, 0.60),
    light=(0.45, 0.60),
    camera_shift=0.012,
    camera_turn=0.02,
    tool_length=(0.75, 0.92),
    tool_thickness=(1.08, 1.25),
)
"""A short, thick screwdriver in a faded color, a green box on a bluish table in dim light, and a camera that stands
twice as far off as in hard scenes: for reporting only."""
DISTRIBUTIONS = {distribution.name: distribution for distribution in (STANDARD, HARD, SHIFTED)}


def scene_distribution(name: str) -> SceneDistribution:
    """The distribution of that name; ``ValueError`` names the known ones."""
    if name not in DISTRIBUTIONS:
        raise ValueError(f"unknown scenes {name!r}: choose one of {', '.join(DISTRIBUTIONS)}")
    return DISTRIBUTIONS[name]


def sample_scene(distribution: SceneDistribution, seed: int) -> Scene:
    """The scene of a seed: always the same for the same distribution. Tools that touch the box are drawn again."""
    if seed < 0:
        raise ValueError(f"the scene's seed is {seed}; it must not be negative")
    rng = np.random.default_rng(seed)
    box = PAN_AXIS + distribution.box_radius * _direction(distribution.box_azimuth)
    box = box + rng.uniform(-1, 1, 2) * distribution.box_shift
    box_yaw = distribution.box_azimuth
    while True:
        azimuth = rng.uniform(*distribution.azimuth)
        tool = PAN_AXIS + rng.uniform(*distribution.radius) * _direction(azimuth)
        yaw = azimuth + np.pi / 2 + rng.uniform(-1, 1) * distribution.yaw
        if clearance(tool, yaw, box, box_yaw) > 0.03:
            break
    return Scene(
        seed=seed,
        tool_position=(float(tool[0]), float(tool[1])),
        tool_yaw=float((yaw + np.pi) % (2 * np.pi) - np.pi),
        box_position=(float(box[0]), float(box[1])),
        box_yaw=box_yaw,
        tool_color=_color(rng, distribution.tool_hue, distribution.tool_saturation, distribution.tool_value),
        box_color=_color(rng, distribution.box_hue, 0.55, 0.62),
        table_color=_color(rng, distribution.table_hue, 0.22, 0.74),
        light=float(rng.uniform(*distribution.light)),
        camera_shift=_vector(rng, distribution.camera_shift),
        camera_turn=_vector(rng, distribution.camera_turn),
        # New draws come last: a seed keeps giving what it has always given.
        friction=float(rng.uniform(*distribution.friction)),
        tool_mass=float(rng.uniform(*distribution.tool_mass)),
        tool_length=float(rng.uniform(*distribution.tool_length)),
        tool_thickness=float(rng.uniform(*distribution.tool_thickness)),
    )


def clearance(tool: np.ndarray, yaw: float, box: np.ndarray, box_yaw: float) -> float:
    """Free distance (m) on the table between the tool's axis and the outside of the box."""
    along = np.linspace(TOOL_BACK, TOOL_TIP, 16)[:, None]
    outside = np.abs(to_box(tool + along * _direction(yaw), box, box_yaw)) - (BOX_INNER + BOX_WALL)
    return float(np.linalg.norm(np.maximum(outside, 0.0), axis=1).min())


def to_box(points: np.ndarray, box: np.ndarray, box_yaw: float) -> np.ndarray:
    """Points (..., 2) on the table, in the box's own axes (width, length)."""
    across, along = _direction(box_yaw), _direction(box_yaw + np.pi / 2)
    return (np.asarray(points) - box) @ np.stack([across, along], axis=1)


def _direction(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])


def _color(rng: np.random.Generator, hue: tuple[float, float], saturation: float, value: float) -> Color:
    hue_, saturation, value = (
        rng.uniform(*hue) % 1.0,
        saturation + rng.uniform(-0.05, 0.05),
        value + rng.uniform(-0.05, 0.05),
    )
    return colorsys.hsv_to_rgb(hue_, saturation, value)


def _vector(rng: np.random.Generator, size: float) -> tuple[float, float, float]:
    x, y, z = rng.uniform(-1, 1, 3) * size
    return float(x), float(y), float(z)
