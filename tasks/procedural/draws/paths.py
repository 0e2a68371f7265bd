"""Camera paths as people take photos, with hand-held jitter."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras
from tasks.procedural.build import Point, cameras_of, look_at
from tasks.procedural.draws.chance import Draws

LONG_SIDE_PX = 480
_SHAPES = ((480, 320), (480, 360), (480, 270), (360, 480))
"""Photo sizes of cameras and phones, pixels; the last is a phone held upright."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """Eyes and targets of the photos, in order. World frame, metres."""

    eyes: Float64[np.ndarray, "n 3"]
    targets: Float64[np.ndarray, "n 3"]


def _photo_count(draws: Draws) -> int:
    return draws.integer(12, 24)


def _path(eyes: list[Point], targets: list[Point]) -> Path:
    return Path(eyes=np.array(eyes), targets=np.array(targets))


def orbit(draws: Draws, centre: Point, radius_m: float, height_m: float, sweep_deg: float) -> Path:
    """Circle around ``centre``, facing inward, with the eyes ``height_m`` above it.

    A full turn closes evenly; less is an arc from a random direction.
    """
    count = max(_photo_count(draws), math.ceil(sweep_deg / 20.0))
    start, wobble = draws.uniform(0.0, 2.0 * math.pi), draws.uniform(0.0, 0.25)
    phase, waves = draws.uniform(0.0, 6.28), draws.integer(1, 3)
    x, y, z = centre
    eyes: list[Point] = []
    for i in range(count):
        turn = start + math.radians(sweep_deg) * i / count
        far = radius_m * (1.0 + 0.08 * math.sin(2.0 * turn + phase))
        up = height_m * (1.0 + wobble * math.sin(waves * turn + phase))
        eyes.append((x + far * math.cos(turn), y + far * math.sin(turn), z + up))
    return _path(eyes, [centre] * count)


def forward_arc(draws: Draws, centre: Point, distance_m: float, height_m: float) -> Path:
    """Arc in front (-y) of ``centre``, facing it, with the eyes ``height_m`` above it.

    One row, or two or three as in the grid of a light field.
    """
    count, span = _photo_count(draws), math.radians(draws.uniform(30.0, 75.0))
    rows = draws.choice((1, 1, 2, 3))
    columns = math.ceil(count / rows)
    x, y, z = centre
    aside = draws.uniform(0.0, 0.3) * distance_m
    eyes: list[Point] = []
    targets: list[Point] = []
    for i in range(count):
        row, place = divmod(i, columns)
        column = place if row % 2 == 0 else columns - 1 - place
        turn = span * (column / max(columns - 1, 1) - 0.5)
        far = distance_m * (1.0 + 0.05 * math.cos(4.0 * turn))
        up = height_m + 0.12 * distance_m * (row - 0.5 * (rows - 1))
        eyes.append((x + far * math.sin(turn), y - far * math.cos(turn), z + up))
        targets.append((x + aside * math.sin(turn), y, z))
    return _path(eyes, targets)


def walk(
    draws: Draws, length_m: float, distance_m: float, height_m: float, target_height_m: float
) -> Path:
    """Walk along x in front (-y) of the plane y = 0, facing it at some slant."""
    count = _photo_count(draws)
    start, slant = draws.uniform(-0.2, 0.2) * length_m, draws.uniform(-0.35, 0.35)
    bend, phase = draws.uniform(0.0, 0.12), draws.uniform(0.0, 6.28)
    eyes: list[Point] = []
    targets: list[Point] = []
    for i in range(count):
        t = i / (count - 1)
        x = start + length_m * (t - 0.5)
        far = distance_m * (1.0 + bend * math.sin(3.0 * t + phase))
        eyes.append((x, -far, height_m + 0.04 * distance_m * math.sin(9.0 * t + phase)))
        targets.append((x + slant * far * math.cos(2.2 * t + phase), 0.0, target_height_m))
    return _path(eyes, targets)


def look_around(draws: Draws, centre: Point, reach_m: float, target_height_m: float) -> Path:
    """Full or partial turn on the spot, facing outward, with the camera at arm's length."""
    sweep = draws.uniform(150.0, 360.0)
    count = max(_photo_count(draws), math.ceil(sweep / 18.0))
    start, sense = draws.uniform(0.0, 2.0 * math.pi), draws.choice((-1.0, 1.0))
    arm = reach_m * draws.uniform(0.12, 0.22)
    stretch = draws.uniform(1.0, 1.6)
    x, y, z = centre
    eyes: list[Point] = []
    targets: list[Point] = []
    for i in range(count):
        turn = start + sense * math.radians(sweep) * i / count
        c, s = math.cos(turn), math.sin(turn)
        eyes.append((x + stretch * arm * c, y + arm * s, z + 0.06 * reach_m * math.sin(3.0 * turn)))
        targets.append((x + reach_m * c, y + reach_m * s, target_height_m))
    return _path(eyes, targets)


def sweep(draws: Draws, height_m: float) -> Path:
    """Rows of a drone survey above the origin, facing down or obliquely ahead."""
    rows, columns = draws.choice(((3, 5), (3, 6), (4, 5), (4, 6), (2, 8), (3, 7)))
    step_x, step_y = height_m * draws.uniform(0.18, 0.3), height_m * draws.uniform(0.2, 0.32)
    tilt = height_m * draws.choice((0.0, 0.08, draws.uniform(0.3, 0.8)))
    heading = draws.uniform(0.0, 2.0 * math.pi)
    c, s = math.cos(heading), math.sin(heading)
    eyes: list[Point] = []
    targets: list[Point] = []
    for row in range(rows):
        for place in range(columns):
            column = place if row % 2 == 0 else columns - 1 - place
            a, b = step_x * (column - (columns - 1) / 2), step_y * (row - (rows - 1) / 2)
            b -= tilt  # keeps the targets of tilted cameras around the origin
            eyes.append((c * a - s * b, s * a + c * b, height_m * (1.0 + draws.normal(0.01))))
            b += tilt + 0.08 * height_m  # never straight down: ahead is the top of a photo
            targets.append((c * a - s * b, s * a + c * b, 0.0))
    return _path(eyes, targets)


def photographed(
    draws: Draws, path: Path, *, focal_mm: tuple[float, float], jitter: float
) -> Cameras:
    """Hand-held cameras along a path.

    Args:
        focal_mm: range of the 35 mm equivalent focal length (36 mm along the longer side).
        jitter: standard deviation of an eye, relative to its distance to the target; aim and roll
            jitter in proportion (0.02 gives 1 degree).
    """
    width, height = draws.choice(_SHAPES)
    focal_px = draws.uniform(*focal_mm) / 36.0 * LONG_SIDE_PX
    poses = []
    for eye, target in zip(path.eyes, path.targets, strict=True):
        distance = float(np.linalg.norm(target - eye))
        x, y, z = eye + draws.generator.normal(0.0, jitter * distance, 3)
        # The displaced camera still aims at the target, before the jitter of its rotation.
        pose = look_at((x, y, z), (float(target[0]), float(target[1]), float(target[2])))
        shake = draws.generator.normal(0.0, 50.0 * jitter, 3) * [1.0, 1.0, 1.2]
        turned = np.eye(4)
        turned[:3, :3] = Rotation.from_euler("xyz", shake, degrees=True).as_matrix()
        poses.append(turned @ pose)
    return cameras_of(poses, focal_px, width, height)
