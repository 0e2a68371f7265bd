"""Three scenes to show the pipeline on: a room from inside, an object all round, a house front.

World frame: z up, metres. Camera paths give neighbouring photos enough in common for matching.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from tasks.cameras import Cameras
from tasks.procedural.light import Light
from tasks.procedural.materials import Material, Pattern
from tasks.procedural.trace import Shape, Solid

PHOTO_COUNT = 24
WIDTH, HEIGHT = 480, 360


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProceduralScene:
    name: str
    solids: tuple[Solid, ...]
    light: Light
    texel_m: float
    """Edge of a texel of indirect light."""
    bounces: int
    cameras: Cameras
    training_names: tuple[str, ...] | None
    """The photos to train on; None leaves the choice to the splat stage."""


Point = tuple[float, float, float]


def _turned(yaw_deg: float, pitch_deg: float = 0.0) -> Float64[np.ndarray, "3 3"]:
    """Rotation about z by ``yaw_deg`` after rotation about x by ``pitch_deg``."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    about_z = np.array(
        [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
    )
    return about_z @ about_x


def _solid(
    shape: Shape, centre: Point, half: Point, material: Material, yaw_deg: float, pitch_deg: float
) -> Solid:
    return Solid(
        shape=shape,
        centre=np.array(centre, dtype=np.float64),
        half_size=np.array(half, dtype=np.float64),
        world_from_solid=_turned(yaw_deg, pitch_deg),
        material=material,
    )


def _box(
    centre: Point, size: Point, material: Material, yaw_deg: float = 0.0, pitch_deg: float = 0.0
) -> Solid:
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    return _solid(Shape.BOX, centre, half, material, yaw_deg, pitch_deg)


def _between(lower: Point, upper: Point, material: Material) -> Solid:
    """The upright box with these corners."""
    low, high = np.array(lower), np.array(upper)
    x, y, z = (low + high) / 2
    dx, dy, dz = high - low
    return _box((x, y, z), (dx, dy, dz), material)


def _ball(
    centre: Point, radius_m: float | Point, material: Material, yaw_deg: float = 0.0
) -> Solid:
    half = radius_m if isinstance(radius_m, tuple) else (radius_m, radius_m, radius_m)
    return _solid(Shape.BALL, centre, half, material, yaw_deg, 0.0)


def _pillar(
    base: Point,
    radius_m: float,
    height_m: float,
    material: Material,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
) -> Solid:
    """A cylinder that stands on ``base`` before it is pitched about its middle."""
    x, y, z = base
    half = (radius_m, radius_m, height_m / 2)
    return _solid(Shape.CYLINDER, (x, y, z + height_m / 2), half, material, yaw_deg, pitch_deg)


def _material(
    pattern: Pattern, scale_m: float, first: str, second: str, third: str, gloss: float = 0.0
) -> Material:
    return Material(pattern=pattern, colours=(first, second, third), scale_m=scale_m, gloss=gloss)


def _unit(x: float, y: float, z: float) -> Float64[np.ndarray, "3"]:
    vector = np.array([x, y, z])
    return vector / np.linalg.norm(vector)


def look_at(eye: Point, target: Point) -> Float64[np.ndarray, "4 4"]:
    """``camera_from_world`` of a level camera at ``eye`` that looks at ``target`` (z is up)."""
    centre = np.array(eye)
    forward = np.array(target) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ centre
    return matrix


def _path(eyes: Sequence[Point], targets: Sequence[Point], focal_px: float) -> Cameras:
    count = len(eyes)
    intrinsics = np.array(
        [[focal_px, 0.0, WIDTH / 2], [0.0, focal_px, HEIGHT / 2], [0.0, 0.0, 1.0]]
    )
    return Cameras(
        names=tuple(f"{i:04d}.jpg" for i in range(count)),
        camera_from_world=np.stack([look_at(e, t) for e, t in zip(eyes, targets, strict=True)]),
        intrinsics=np.tile(intrinsics, (count, 1, 1)),
        sizes=np.tile(np.array([WIDTH, HEIGHT], np.int64), (count, 1)),
    )


OAK = _material(Pattern.PLANKS, 0.16, "#9a6a3f", "#6d4526", "#3a2414")
WALNUT = _material(Pattern.PLANKS, 0.22, "#7d5233", "#4f301c", "#23150c", gloss=0.15)
STONE = _material(Pattern.MARBLE, 0.35, "#b9b0a0", "#6f675c", "#8d8069")
WHITE_MARBLE = _material(Pattern.MARBLE, 0.25, "#d9d4cb", "#5f6270", "#b3a999", gloss=0.5)
LEAVES = _material(Pattern.FOLIAGE, 0.16, "#35592a", "#7fa04a", "#c9c86a")
HEDGE = _material(Pattern.FOLIAGE, 0.3, "#2c4a26", "#688b40", "#b8c070")
BARK = _material(Pattern.PLANKS, 0.09, "#6a5140", "#43322a", "#251b16")
TERRACOTTA = _material(Pattern.PLASTER, 0.14, "#b5603c", "#8c4429", "#dd9a70")
IRON = _material(Pattern.PLASTER, 0.08, "#4a4f55", "#2c3035", "#8a7a66", gloss=0.2)

BOOK_COLOURS = (
    "#a33a2c", "#2f5d8a", "#3d7a4e", "#d0a03c", "#6b3f78", "#c9c0ab", "#27404f", "#b8622f",
    "#7a1f35", "#4f8c8c", "#8b8f3a", "#d9d3c4",
)  # fmt: skip


def _books(
    rng: np.random.Generator, start: Point, length_m: float, along_y: bool, height_m: float
) -> list[Solid]:
    """Upright books side by side from ``start`` along x or y, the odd one leaning."""
    books = []
    place = 0.0
    while place < length_m - 0.06:
        thick = float(rng.uniform(0.028, 0.062))
        tall = height_m * float(rng.uniform(0.68, 0.97))
        deep = float(rng.uniform(0.17, 0.23))
        cover, band = rng.choice(len(BOOK_COLOURS), 2, replace=False)
        material = _material(
            Pattern.SPINE, 0.05, BOOK_COLOURS[cover], BOOK_COLOURS[band], "#e0cf9a"
        )
        x, y, z = start
        middle = place + thick / 2
        if along_y:
            books.append(_box((x, y + middle, z + tall / 2), (deep, thick, tall), material))
        else:
            books.append(_box((x + middle, y, z + tall / 2), (thick, deep, tall), material))
        place += thick + 0.002
        if rng.random() < 0.12:
            place += float(rng.uniform(0.04, 0.1))
    return books


def interior() -> ProceduralScene:
    """A furnished room of 6.4 x 5.2 x 2.8 m, seen on a loop that looks across it."""
    rng = np.random.default_rng(11)
    wall = _material(Pattern.PLASTER, 0.42, "#d8c8a6", "#c4ad86", "#a08a68")
    blue_wall = _material(Pattern.PLASTER, 0.38, "#8fb0b5", "#b3c4ba", "#668890")
    brick = _material(Pattern.BRICK, 0.25, "#c07858", "#985a45", "#c9beac")
    floor = _material(Pattern.PLANKS, 0.15, "#a9774a", "#7c5130", "#3b2415", gloss=0.06)
    ceiling = _material(Pattern.PLASTER, 0.3, "#d8cfbe", "#c4b79f", "#a99c84")
    frame = _material(Pattern.PLANKS, 0.12, "#d8d2c2", "#bfb7a4", "#8a806d")
    sofa = _material(Pattern.FABRIC, 0.16, "#3f6b6a", "#2d4f55", "#d6b25e")
    armchair = _material(Pattern.FABRIC, 0.12, "#9c4a35", "#7a3728", "#e2c48a")
    curtain = _material(Pattern.FABRIC, 0.2, "#b58b4c", "#8f6a38", "#5a7a6a")
    solids = [
        _between((-0.2, -0.2, -0.2), (6.6, 5.4, 0.0), floor),
        # The ceiling leaves a skylight of 2.8 x 2 m.
        _between((-0.2, -0.2, 2.8), (1.8, 5.4, 3.0), ceiling),
        _between((4.6, -0.2, 2.8), (6.6, 5.4, 3.0), ceiling),
        _between((1.8, -0.2, 2.8), (4.6, 1.6, 3.0), ceiling),
        _between((1.8, 3.6, 2.8), (4.6, 5.4, 3.0), ceiling),
        _between((-0.2, -0.2, 0.0), (0.0, 5.4, 2.8), brick),
        _between((6.4, -0.2, 0.0), (6.6, 5.4, 2.8), blue_wall),
        _between((0.0, -0.2, 0.0), (6.4, 0.0, 2.8), wall),
        # The north wall leaves a window of 2.4 x 1.4 m.
        _between((0.0, 5.2, 0.0), (1.9, 5.4, 2.8), wall),
        _between((4.3, 5.2, 0.0), (6.4, 5.4, 2.8), wall),
        _between((1.9, 5.2, 0.0), (4.3, 5.4, 0.85), wall),
        _between((1.9, 5.2, 2.25), (4.3, 5.4, 2.8), wall),
        _between((1.85, 5.12, 0.8), (4.35, 5.4, 0.86), frame),
        _between((1.9, 5.26, 0.86), (1.98, 5.34, 2.25), frame),
        _between((4.22, 5.26, 0.86), (4.3, 5.34, 2.25), frame),
        _between((3.06, 5.26, 0.86), (3.14, 5.34, 2.25), frame),
        _between((1.9, 5.26, 2.17), (4.3, 5.34, 2.25), frame),
        _between((1.9, 5.27, 1.72), (4.3, 5.33, 1.77), frame),
        _between((-6.0, 11.0, -1.0), (13.0, 12.0, 2.6), HEDGE),
        _between((-6.0, 5.6, -0.6), (13.0, 11.0, -0.5), HEDGE),
        _ball((1.0, 10.2, 1.6), (1.6, 1.2, 1.8), LEAVES),
        _ball((5.6, 10.0, 1.2), (1.3, 1.2, 1.7), HEDGE),
        # Skirting, beams, curtains.
        _between((0.0, 0.0, 0.0), (6.4, 0.02, 0.12), frame),
        _between((0.0, 5.18, 0.0), (6.4, 5.2, 0.12), frame),
        _between((6.38, 0.0, 0.0), (6.4, 5.2, 0.12), frame),
        *(_between((x, 0.0, 2.62), (x + 0.16, 5.2, 2.8), WALNUT) for x in (0.9, 2.5, 4.1, 5.7)),
        _pillar((3.1, 5.08, 0.95), 0.02, 3.1, IRON, yaw_deg=90.0, pitch_deg=90.0),
        *(_pillar((1.52 + 0.1 * i, 5.08, 0.1), 0.055, 2.35, curtain) for i in range(4)),
        *(_pillar((4.38 + 0.1 * i, 5.08, 0.1), 0.055, 2.35, curtain) for i in range(4)),
        # The rug and the low table.
        _box(
            (3.2, 2.6, 0.008),
            (2.9, 2.1, 0.016),
            _material(Pattern.RUG, 0.2, "#8e3b32", "#2f4560", "#dcc79c"),
            yaw_deg=4.0,
        ),
        _box((3.15, 2.62, 0.40), (1.15, 0.62, 0.05), WALNUT, yaw_deg=12.0),
        *(
            _pillar((3.15 + x, 2.62 + y, 0.0), 0.028, 0.38, IRON)
            for x, y in ((-0.46, -0.33), (0.55, -0.12), (-0.55, 0.12), (0.46, 0.33))
        ),
        _pillar((2.95, 2.6, 0.425), 0.16, 0.05, WHITE_MARBLE),
        _ball(
            (2.9, 2.58, 0.53), 0.065, _material(Pattern.PLASTER, 0.06, "#d2702a", "#e09a3c", "#a84a1c")
        ),
        _ball(
            (3.01, 2.63, 0.53), 0.062, _material(Pattern.PLASTER, 0.06, "#8fae3a", "#bcc35a", "#5f7d28")
        ),
        _ball(
            (2.97, 2.52, 0.525), 0.055, _material(Pattern.PLASTER, 0.06, "#b5302a", "#d0583a", "#7c1d1d")
        ),
        _box(
            (3.45, 2.68, 0.44),
            (0.3, 0.22, 0.035),
            _material(Pattern.POSTER, 0.1, "#2f5d8a", "#c9b27a", "#e6dfcf"),
            yaw_deg=35.0,
        ),
        _box(
            (3.46, 2.69, 0.472),
            (0.25, 0.18, 0.03),
            _material(Pattern.POSTER, 0.1, "#a33a2c", "#d9a860", "#2a2a2e"),
            yaw_deg=18.0,
        ),
        # Sofa under two pictures on the east wall.
        _between((5.5, 1.3, 0.1), (6.36, 3.7, 0.42), sofa),
        _between((6.12, 1.3, 0.42), (6.36, 3.7, 0.88), sofa),
        _between((5.5, 1.1, 0.1), (6.36, 1.32, 0.62), sofa),
        _between((5.5, 3.68, 0.1), (6.36, 3.9, 0.62), sofa),
        _box(
            (6.0, 1.62, 0.62),
            (0.14, 0.46, 0.42),
            _material(Pattern.FABRIC, 0.09, "#d9b765", "#b8863c", "#7a2f2a"),
            yaw_deg=18.0,
        ),
        _box(
            (6.0, 3.32, 0.6),
            (0.14, 0.42, 0.38),
            _material(Pattern.TILES, 0.1, "#c9c2b0", "#7d8f9a", "#a33a2c"),
            yaw_deg=-20.0,
        ),
        _box(
            (5.98, 2.85, 0.58),
            (0.13, 0.36, 0.34),
            _material(Pattern.FABRIC, 0.07, "#8a9a5b", "#5d6f3a", "#e0cf9a"),
            yaw_deg=-8.0,
        ),
        _box(
            (6.38, 1.9, 1.65),
            (0.05, 1.0, 0.78),
            _material(Pattern.POSTER, 0.1, "#d8b06a", "#3f6f8f", "#e9e2d2"),
        ),
        _box(
            (6.38, 3.15, 1.7),
            (0.05, 0.78, 1.0),
            _material(Pattern.POSTER, 0.1, "#7aa08a", "#c96f4a", "#3a2a20"),
        ),
        _box(
            (6.38, 4.35, 1.55),
            (0.05, 0.6, 0.6),
            _material(Pattern.POSTER, 0.1, "#c7a7b0", "#4a5b86", "#e0d8c0"),
        ),
        # A cabinet with a vase, a globe and a picture on the south wall; a door beside them.
        _between((1.5, 0.03, 0.12), (3.5, 0.5, 0.82), OAK),
        *(
            _between((1.54 + 0.66 * i, 0.5, 0.18), (2.14 + 0.66 * i, 0.53, 0.76), WALNUT)
            for i in range(3)
        ),
        *(_ball((2.04 + 0.66 * i, 0.55, 0.5), 0.025, IRON) for i in range(3)),
        _between((1.55, 0.08, 0.0), (1.65, 0.45, 0.12), WALNUT),
        _between((3.35, 0.08, 0.0), (3.45, 0.45, 0.12), WALNUT),
        _ball(
            (1.85, 0.27, 1.02),
            (0.15, 0.15, 0.2),
            _material(Pattern.TILES, 0.08, "#d9d5c8", "#4f7ba0", "#284a75", gloss=0.6),
        ),
        _pillar(
            (1.85, 0.27, 1.18),
            0.05,
            0.12,
            _material(Pattern.TILES, 0.06, "#d9d5c8", "#4f7ba0", "#284a75"),
        ),
        _ball((1.83, 0.29, 1.5), (0.24, 0.2, 0.22), LEAVES),
        _pillar((3.1, 0.27, 0.82), 0.09, 0.04, WALNUT),
        _pillar((3.1, 0.27, 0.86), 0.02, 0.12, IRON),
        _ball(
            (3.1, 0.27, 1.12),
            0.17,
            _material(Pattern.MARBLE, 0.12, "#4f86a8", "#c9b57a", "#6f8f4f", gloss=0.5),
        ),
        *_books(rng, (2.2, 0.26, 0.82), 0.5, False, 0.28),
        _box(
            (2.5, 0.02, 1.75),
            (1.3, 0.05, 0.9),
            _material(Pattern.POSTER, 0.1, "#2f4858", "#d99a5b", "#caa45c"),
        ),
        _between((4.3, 0.0, 0.0), (5.3, 0.05, 2.1), OAK),
        *(
            _between((4.4, 0.05, low), (5.2, 0.075, low + 0.55), WALNUT)
            for low in (0.18, 0.8, 1.42)
        ),
        _ball((5.22, 0.1, 1.02), 0.035, STONE),
        _box(
            (0.75, 0.02, 1.6),
            (0.8, 0.05, 1.1),
            _material(Pattern.POSTER, 0.1, "#8f3f4a", "#d8c29a", "#26221f"),
        ),
        _pillar((5.85, 0.45, 0.0), 0.2, 0.42, TERRACOTTA),
        _pillar((5.85, 0.45, 0.42), 0.03, 0.5, BARK),
        _ball((5.8, 0.5, 1.15), (0.36, 0.32, 0.42), LEAVES),
        _ball((5.95, 0.42, 1.5), (0.24, 0.24, 0.28), LEAVES),
        # A desk with a lamp at the window, an armchair, a stool, a standing lamp.
        _between((2.2, 4.5, 0.70), (3.9, 5.1, 0.75), OAK),
        *(
            _between((x, y, 0.0), (x + 0.07, y + 0.07, 0.70), OAK)
            for x in (2.25, 3.78)
            for y in (4.55, 4.98)
        ),
        *_books(rng, (2.28, 4.9, 0.75), 0.42, False, 0.26),
        _box(
            (3.2, 4.78, 0.765),
            (0.42, 0.3, 0.03),
            _material(Pattern.POSTER, 0.1, "#d9d0b8", "#a8b5a0", "#7a4a3a"),
            yaw_deg=-9.0,
        ),
        _pillar((3.7, 4.85, 0.75), 0.08, 0.03, IRON),
        _pillar((3.7, 4.85, 0.78), 0.012, 0.32, IRON),
        _ball(
            (3.7, 4.85, 1.14),
            (0.13, 0.13, 0.09),
            _material(Pattern.PANEL, 0.06, "#c4572f", "#d9b24a", "#e9dfc4"),
        ),
        _box((4.85, 4.45, 0.28), (0.8, 0.75, 0.36), armchair, yaw_deg=-35.0),
        _box((5.08, 4.78, 0.66), (0.8, 0.18, 0.6), armchair, yaw_deg=-35.0),
        _box((4.52, 4.67, 0.45), (0.14, 0.7, 0.34), armchair, yaw_deg=-35.0),
        _box((5.18, 4.22, 0.45), (0.14, 0.7, 0.34), armchair, yaw_deg=-35.0),
        _pillar((5.95, 4.75, 0.0), 0.17, 0.03, IRON),
        _pillar((5.95, 4.75, 0.03), 0.018, 1.5, IRON),
        _pillar(
            (5.95, 4.75, 1.45),
            0.22,
            0.32,
            _material(Pattern.FABRIC, 0.1, "#dcc79c", "#c9a76a", "#8f4a32"),
        ),
        _pillar((1.3, 3.9, 0.0), 0.19, 0.44, _material(Pattern.RUG, 0.09, "#40606a", "#b5793f", "#e3d6b4")),
        # Shelves along the brick wall.
        *(_between((0.0, 0.9, z), (0.30, 3.3, z + 0.035), OAK) for z in (0.1, 0.5, 0.9, 1.3, 1.7)),
        *(_between((0.0, y, 0.0), (0.30, y + 0.04, 2.05), OAK) for y in (0.87, 2.07, 3.29)),
        _between((0.0, 0.85, 2.03), (0.32, 3.35, 2.08), OAK),
        *(
            book
            for z in (0.135, 0.535, 0.935, 1.335, 1.735)
            for book in _books(rng, (0.14, 0.93 if z != 0.935 else 1.2, z), 1.05, True, 0.34)
        ),
        *(
            book
            for z in (0.135, 0.535, 1.335)
            for book in _books(rng, (0.14, 2.13, z), 1.1, True, 0.34)
        ),
        _ball((0.16, 2.35, 1.08), 0.13, STONE),
        _box(
            (0.16, 2.75, 1.07),
            (0.2, 0.3, 0.27),
            _material(Pattern.PANEL, 0.09, "#3f5f6f", "#c9a050", "#e0d8c4"),
            yaw_deg=12.0,
        ),
        _pillar((0.16, 3.08, 0.935), 0.08, 0.26, TERRACOTTA),
        _pillar((0.16, 2.4, 1.735), 0.1, 0.2, _material(Pattern.TILES, 0.06, "#c7b68c", "#8f5a3a", "#3f4f5f")),
        _box(
            (0.16, 2.9, 1.83),
            (0.22, 0.4, 0.19),
            _material(Pattern.PLANKS, 0.07, "#b07a48", "#80522c", "#3f2816"),
            yaw_deg=-6.0,
        ),
        _box(
            (0.02, 4.2, 1.6),
            (0.05, 1.1, 0.8),
            _material(Pattern.POSTER, 0.1, "#3f5a3f", "#d9b56a", "#e8e0cc"),
        ),
        _between((0.02, 3.75, 0.0), (0.55, 4.75, 0.5), _material(Pattern.PANEL, 0.17, "#7a8f6a", "#c9b07a", "#4a3f30")),
        _pillar((0.3, 4.0, 0.5), 0.11, 0.2, TERRACOTTA),
        _ball((0.3, 4.0, 0.86), (0.24, 0.24, 0.24), LEAVES),
        _box((0.28, 4.45, 0.62), (0.2, 0.34, 0.24), WALNUT, yaw_deg=-14.0),
    ]  # fmt: skip
    eyes, targets = [], []
    for i in range(PHOTO_COUNT):
        turn = 2.0 * math.pi * i / PHOTO_COUNT
        c, s = math.cos(turn), math.sin(turn)
        height = 1.5 + 0.18 * math.sin(2.0 * turn + 0.6)
        eyes.append((3.2 + 1.75 * c, 2.6 + 1.25 * s, height))
        # Across the room, not quite through its middle, so that all four walls come by.
        targets.append((3.2 - 1.6 * c + 0.35 * s, 2.6 - 1.3 * s - 0.35 * c, 1.08))
    return ProceduralScene(
        name="interior",
        solids=tuple(solids),
        light=Light(
            to_sun=_unit(0.3, 0.62, 0.85),
            sun=np.array([2.4, 2.1, 1.7]),
            sun_radius_rad=0.005,
            zenith=np.array([7.0, 7.4, 7.8]),
            horizon=np.array([1.2, 1.5, 1.9]),
            clouds=0.8,
            exposure=2.3,
        ),
        texel_m=0.09,
        bounces=4,
        cameras=_path(eyes, targets, focal_px=345.0),
        training_names=None,
    )


def _tree(x: float, y: float, height_m: float, crown_m: float, leaves: Material) -> list[Solid]:
    return [
        _pillar((x, y, 0.0), 0.055 * height_m, height_m, BARK),
        _ball((x, y, height_m), (crown_m, crown_m, 0.9 * crown_m), leaves),
        _ball((x + 0.6 * crown_m, y - 0.3 * crown_m, height_m - 0.25 * crown_m), 0.65 * crown_m, leaves),
        _ball((x - 0.5 * crown_m, y + 0.5 * crown_m, height_m - 0.1 * crown_m), 0.7 * crown_m, leaves),
    ]  # fmt: skip


def _house(
    x: float, y: float, size: Point, yaw_deg: float, walls: Material, roof: Material
) -> list[Solid]:
    """A house far away: walls, windows on two sides, a flat roof that stands out."""
    turn = _turned(yaw_deg)
    panes = _material(Pattern.PANE, 0.7, "#5f7d94", "#2b3a48", "#c9bda4")
    solids = [
        _box((x, y, size[2] / 2), size, walls, yaw_deg),
        _box((x, y, size[2] + 0.15), (size[0] + 0.7, size[1] + 0.7, 0.3), roof, yaw_deg),
    ]
    for side in (-1, 1):
        for column in (-0.28, 0.02, 0.3):
            for row in (0.28, 0.7):
                place = turn @ [column * size[0], side * size[1] / 2, 0.0]
                solids.append(
                    _box(
                        (x + place[0], y + place[1], row * size[2]),
                        (0.16 * size[0], 0.2, 0.26 * size[2]),
                        panes,
                        yaw_deg,
                    )
                )
    return solids


def orbit() -> ProceduralScene:
    """A painted robot on a plinth in a garden court, seen all round."""
    rng = np.random.default_rng(5)
    cobbles = _material(Pattern.COBBLES, 0.22, "#a89a86", "#7f7467", "#5b5a48")
    lawn = _material(Pattern.FOLIAGE, 0.35, "#4a6b2f", "#8a9d4e", "#c2b872")
    tiles = _material(Pattern.TILES, 0.32, "#c2a884", "#8f6f55", "#4a4f55")
    body = _material(Pattern.PANEL, 0.16, "#3f7f8c", "#d0873a", "#e6dcc2", gloss=0.25)
    limbs = _material(Pattern.PANEL, 0.11, "#c8553a", "#e0b04a", "#3a3f48", gloss=0.2)
    head = _material(Pattern.PANEL, 0.13, "#d9a441", "#4a7a5a", "#f0e6cc", gloss=0.4)
    brick = _material(Pattern.BRICK, 0.26, "#a35a40", "#7f4434", "#b9ad9b")
    solids = [
        _pillar((0.0, 0.0, -0.2), 5.6, 0.2, cobbles),
        _pillar((0.0, 0.0, -0.3), 40.0, 0.26, lawn),
        _pillar((0.0, 0.0, 0.0), 1.45, 0.12, tiles),
        _pillar((0.0, 0.0, 0.12), 1.1, 0.14, STONE),
        _box((0.0, 0.0, 0.41), (1.15, 0.95, 0.3), brick),
        _box((0.0, 0.0, 0.585), (1.3, 1.1, 0.05), STONE),
        # The robot, 1.6 m tall.
        *(_box((x, -0.05, 0.66), (0.26, 0.42, 0.1), limbs) for x in (-0.22, 0.22)),
        *(_pillar((x, 0.0, 0.71), 0.1, 0.3, limbs) for x in (-0.22, 0.22)),
        _box((0.0, 0.0, 1.3), (0.78, 0.5, 0.62), body),
        _box(
            (0.0, -0.26, 1.33),
            (0.48, 0.04, 0.36),
            _material(Pattern.POSTER, 0.1, "#26343f", "#5f8f8a", "#d9c38f"),
        ),
        _box(
            (0.0, 0.3, 1.3),
            (0.5, 0.14, 0.44),
            _material(Pattern.TILES, 0.1, "#b8b0a0", "#6f7f86", "#a33a2c"),
        ),
        *(_pillar((x, 0.38, 1.2), 0.07, 0.4, limbs) for x in (-0.14, 0.14)),
        _ball((-0.47, 0.0, 1.5), 0.13, WHITE_MARBLE),
        _ball((0.47, 0.0, 1.5), 0.13, WHITE_MARBLE),
        _box((-0.58, -0.04, 1.24), (0.16, 0.18, 0.5), limbs, yaw_deg=0.0, pitch_deg=-10.0),
        _box((0.62, -0.2, 1.56), (0.16, 0.5, 0.17), limbs, yaw_deg=0.0, pitch_deg=-24.0),
        _ball((-0.58, -0.09, 0.94), 0.11, STONE),
        _ball((0.62, -0.46, 1.69), 0.11, STONE),
        _pillar((0.0, 0.0, 1.61), 0.12, 0.1, IRON),
        _box((0.0, 0.0, 1.91), (0.56, 0.44, 0.42), head),
        *(
            _pillar((x, -0.21, 1.92), 0.085, 0.1, IRON, pitch_deg=90.0)
            for x in (-0.13, 0.13)
        ),
        *(
            _ball(
                (x, -0.27, 1.97),
                0.065,
                _material(Pattern.MARBLE, 0.05, "#d0d8d8", "#2f6fa0", "#e6c65a", gloss=0.8),
            )
            for x in (-0.13, 0.13)
        ),
        _box((0.0, -0.225, 1.79), (0.3, 0.03, 0.06), _material(Pattern.TILES, 0.05, "#e6dcc2", "#26343f", "#a33a2c")),
        *(_pillar((x, 0.0, 1.83), 0.1, 0.1, IRON, yaw_deg=90.0, pitch_deg=90.0) for x in (-0.3, 0.3)),
        _pillar((0.12, 0.05, 2.12), 0.018, 0.24, IRON),
        _ball((0.12, 0.05, 2.4), 0.065, _material(Pattern.PANEL, 0.05, "#c8382c", "#e0a03a", "#f0e6cc", gloss=0.6)),
        _pillar((-0.14, -0.02, 2.12), 0.11, 0.07, limbs),
        # Things left about the court.
        _pillar((2.0, -1.2, 0.0), 0.28, 0.42, TERRACOTTA),
        _ball((2.0, -1.2, 0.72), (0.4, 0.4, 0.42), _material(Pattern.FOLIAGE, 0.11, "#3c5f2e", "#7d9c48", "#d86a8a")),
        _pillar((-1.9, 1.4, 0.0), 0.32, 0.36, _material(Pattern.TILES, 0.14, "#4f7ba0", "#d9d0b8", "#c8703a")),
        _ball((-1.9, 1.4, 0.66), (0.42, 0.42, 0.4), _material(Pattern.FOLIAGE, 0.12, "#3f5f34", "#6f9a50", "#e6c84a")),
        _box((-1.9, -1.3, 0.25), (0.55, 0.5, 0.5), OAK, yaw_deg=24.0),
        _box((-1.84, -1.26, 0.66), (0.36, 0.34, 0.32), _material(Pattern.PANEL, 0.12, "#8a4a6a", "#d0b04a", "#e6dcc2"), yaw_deg=51.0),
        _box((1.9, 1.5, 0.2), (0.5, 0.7, 0.4), _material(Pattern.PANEL, 0.18, "#5f7a4a", "#c9b27a", "#3f3a30"), yaw_deg=-31.0),
        _ball((1.9, 1.5, 0.6), 0.2, _material(Pattern.TILES, 0.11, "#d05a3a", "#e6dcc2", "#2f5d8a", gloss=0.5)),
        _ball((0.5, 2.1, 0.24), 0.24, _material(Pattern.MARBLE, 0.16, "#b8c4c0", "#3f5f6a", "#c9a86a", gloss=0.6)),
        _pillar((-0.4, -2.1, 0.17), 0.17, 0.5, _material(Pattern.PANEL, 0.15, "#3f6f9a", "#d9b24a", "#e9dfc4"), yaw_deg=60.0, pitch_deg=90.0),
        _pillar((-2.4, 0.1, 0.0), 0.22, 0.55, _material(Pattern.RUG, 0.12, "#a8483a", "#33506a", "#e3d6b4")),
        _box((2.5, 0.25, 0.14), (0.6, 0.4, 0.28), brick, yaw_deg=70.0),
    ]  # fmt: skip
    for i in range(16):  # a low wall with gaps, then trees and houses all round
        turn = 2.0 * math.pi * (i + 0.5) / 16
        x, y = 5.9 * math.cos(turn), 5.9 * math.sin(turn)
        yaw = math.degrees(turn) + 90.0
        height = 0.7 + 0.5 * (i % 3 == 0)
        wall = brick if i % 2 else STONE
        solids.append(_box((x, y, height / 2), (2.1, 0.35, height), wall, yaw))
        solids.append(_box((x, y, height + 0.04), (2.2, 0.48, 0.08), STONE, yaw))
        if i % 2:
            colours = ("#c8553a", "#4f7ba0", "#d9b24a", "#8a4a6a")[(i // 2) % 4]
            solids.append(
                _box(
                    (0.965 * x, 0.965 * y, 0.52 * height),
                    (1.3, 0.06, 0.75 * height),
                    _material(Pattern.POSTER, 0.1, colours, "#d9d0b8", "#33302c"),
                    yaw,
                )
            )
        crown = float(rng.uniform(1.0, 1.5))
        far = float(rng.uniform(8.2, 10.5))
        leaves = _material(
            Pattern.FOLIAGE,
            0.4,
            ("#35592a", "#4a5f2a", "#5a5426")[i % 3],
            ("#7fa04a", "#9aa84f", "#b58f45")[i % 3],
            ("#c9c86a", "#d0b050", "#d07a40")[i % 3],
        )
        turn += float(rng.uniform(-0.1, 0.1))
        solids += _tree(
            far * math.cos(turn), far * math.sin(turn), float(rng.uniform(1.9, 2.8)), crown, leaves
        )
    for i in range(9):
        turn = 2.0 * math.pi * (i + 0.2) / 9
        walls = (
            _material(Pattern.BRICK, 0.9, "#b0664a", "#8a4c3a", "#c4b8a4"),
            _material(Pattern.PLASTER, 1.4, "#d2b988", "#b89a6a", "#8f7a55"),
            _material(Pattern.PLASTER, 1.2, "#9fb0a8", "#c2c4b0", "#6f857f"),
        )[i % 3]
        roof = _material(Pattern.TILES, 0.7, "#8f4a35", "#74402f", "#4f3a30")
        solids += _house(
            17.0 * math.cos(turn),
            17.0 * math.sin(turn),
            (float(rng.uniform(7.5, 9.5)), 5.0, float(rng.uniform(4.5, 7.0))),
            math.degrees(turn) + 90.0,
            walls,
            roof,
        )
    eyes, targets = [], []
    for i in range(PHOTO_COUNT):
        turn = 2.0 * math.pi * (i / PHOTO_COUNT) - 0.5 * math.pi
        radius = 3.55 + 0.25 * math.sin(3.0 * turn)
        height = 1.75 + 0.65 * math.sin(2.0 * turn + 0.4)
        eyes.append((radius * math.cos(turn), radius * math.sin(turn), height))
        targets.append((0.0, 0.0, 1.12))
    return ProceduralScene(
        name="orbit",
        solids=tuple(solids),
        light=Light(
            to_sun=_unit(-0.55, -0.6, 0.8),
            sun=np.array([1.75, 1.55, 1.25]),
            sun_radius_rad=0.005,
            zenith=np.array([0.28, 0.45, 0.78]),
            horizon=np.array([0.78, 0.86, 0.95]),
            clouds=0.8,
            exposure=1.5,
        ),
        texel_m=0.12,
        bounces=2,
        cameras=_path(eyes, targets, focal_px=420.0),
        training_names=None,
    )


def facade() -> ProceduralScene:
    """The front of a town house and its neighbours, seen from an arc across the street."""
    rng = np.random.default_rng(3)
    brick = _material(Pattern.BRICK, 0.3, "#b0664a", "#84463a", "#c0b4a0")
    stucco = _material(Pattern.PLASTER, 0.5, "#d0b684", "#b8965f", "#8a6f48")
    green_stucco = _material(Pattern.PLASTER, 0.6, "#9db09a", "#bfc0a0", "#6a8070")
    cornice = _material(Pattern.MARBLE, 0.3, "#c9bfa9", "#857a68", "#a3967c")
    paving = _material(Pattern.TILES, 0.55, "#a59b8c", "#8b8377", "#6a655c")
    street = _material(Pattern.COBBLES, 0.2, "#8b857c", "#67625c", "#4a4a42")
    panes = _material(Pattern.PANE, 0.5, "#6f93ad", "#243442", "#d6c7a6")
    trim = _material(Pattern.PLANKS, 0.15, "#d9d2c0", "#bdb5a2", "#7d7566")
    solids = [
        _between((-25.0, -18.0, -0.3), (25.0, -2.2, -0.12), street),
        _between((-25.0, -2.2, -0.3), (25.0, 0.4, 0.0), paving),
        _between((-25.0, -2.35, -0.3), (25.0, -2.2, 0.02), cornice),
        _between((-5.2, 0.0, 0.0), (5.2, 1.0, 7.6), brick),
        _between((-5.25, -0.06, 0.0), (5.25, 0.0, 0.55), STONE),
        _between((-5.25, -0.12, 3.35), (5.25, 0.0, 3.6), cornice),
        _between((-5.4, -0.3, 7.35), (5.4, 1.0, 7.6), cornice),
        _between((-5.5, -0.45, 7.6), (5.5, 1.0, 7.72), STONE),
        *(_between((-5.2 + 0.8 * i, -0.25, 7.15), (-4.97 + 0.8 * i, 0.0, 7.36), cornice) for i in range(14)),
        _box((0.0, 2.2, 8.6), (11.0, 4.2, 0.3), _material(Pattern.TILES, 0.4, "#9a5238", "#7d4230", "#5a3a30"), 0.0, 38.0),
        _between((-3.6, 0.6, 8.0), (-2.7, 1.6, 10.2), brick),
        # Neighbours: one stands back, one stands forward, both have signs and windows.
        _between((-16.0, 0.5, 0.0), (-5.2, 1.6, 6.6), stucco),
        _between((-16.0, 0.3, 6.6), (-5.25, 1.6, 6.9), cornice),
        _between((5.2, -0.35, 0.0), (16.0, 1.2, 8.4), green_stucco),
        _between((5.22, -0.55, 8.4), (16.0, 1.2, 8.7), cornice),
        _between((-5.35, -0.15, 0.0), (-5.0, 0.0, 7.2), cornice),
        _between((4.85, -0.15, 0.0), (5.2, 0.0, 7.2), cornice),
    ]  # fmt: skip
    shutters = (
        "#3f6f6a", "#8f4535", "#4a5f86", "#a07a35", "#5f7a45", "#7a4a66", "#35586f", "#96603a",
        "#52704f", "#84444c",
    )  # fmt: skip
    windows = [
        *((x, 0.0, 5.25, 1.1, 1.7) for x in (-3.9, -1.95, 0.0, 1.95, 3.9)),
        *((x, 0.0, 1.85, 1.25, 1.6) for x in (-3.75, -1.75)),
        *((x, 0.5, z, 1.1, 1.5) for x in (-7.0, -9.4, -11.8) for z in (1.7, 4.6)),
        *((x, -0.35, z, 1.2, 1.5) for x in (7.2, 9.6, 12.0) for z in (4.4, 6.8)),
    ]
    for i, (x, y, z, wide, tall) in enumerate(windows):
        colour = shutters[(3 * i) % len(shutters)]
        paint = _material(Pattern.PLANKS, 0.1, colour, "#6a6456", "#2a2620")
        half = wide / 2
        solids += [
            _box((x, y, z), (wide, 0.06, tall), panes),
            _box((x, y - 0.05, z + tall / 2 + 0.07), (wide + 0.3, 0.22, 0.14), cornice),
            _box((x, y - 0.1, z - tall / 2 - 0.05), (wide + 0.35, 0.34, 0.1), STONE),
            _box((x - half, y - 0.04, z), (0.1, 0.12, tall), trim),
            _box((x + half, y - 0.04, z), (0.1, 0.12, tall), trim),
            _box((x, y - 0.04, z), (0.06, 0.1, tall), trim),
            _box((x, y - 0.04, z + 0.12 * tall), (wide, 0.1, 0.06), trim),
        ]
        if abs(x) < 5.0 and z > 4.0:
            solids += [
                _box((x - half - 0.27, y - 0.07, z), (0.4, 0.07, tall), paint, 0.0),
                _box((x + half + 0.24, y - 0.12, z), (0.4, 0.07, tall), paint, -18.0),
            ]
        if i % 3 != 1:
            blooms = ("#d8506a", "#e6c84a", "#e9dfe0", "#b070c0")[i % 4]
            plants = _material(Pattern.FOLIAGE, 0.11, "#3c5f2e", "#7d9c48", blooms)
            solids += [
                _box((x, y - 0.28, z - tall / 2 + 0.1), (wide, 0.24, 0.22), TERRACOTTA),
                _ball((x - 0.25 * wide, y - 0.3, z - tall / 2 + 0.28), (0.34, 0.2, 0.2), plants),
                _ball((x + 0.25 * wide, y - 0.3, z - tall / 2 + 0.26), (0.36, 0.2, 0.22), plants),
            ]
    door = _material(Pattern.PLANKS, 0.2, "#8f3f34", "#6f2d2a", "#331a16", gloss=0.2)
    solids += [
        # The door with steps, columns and a small roof, and a shop window with an awning.
        _between((-0.55, -0.08, 0.3), (0.75, 0.02, 2.6), door),
        _between((-0.4, -0.1, 0.5), (0.05, -0.05, 1.3), OAK),
        _between((0.15, -0.1, 0.5), (0.6, -0.05, 1.3), OAK),
        _between((-0.4, -0.1, 1.5), (0.6, -0.05, 2.4), panes),
        _ball((0.62, -0.12, 1.4), 0.05, WHITE_MARBLE),
        _between((-1.0, -1.0, 0.0), (1.2, 0.0, 0.15), STONE),
        _between((-0.85, -0.75, 0.15), (1.05, 0.0, 0.3), STONE),
        _pillar((-0.72, -0.6, 0.3), 0.1, 2.4, WHITE_MARBLE),
        _pillar((0.92, -0.6, 0.3), 0.1, 2.4, WHITE_MARBLE),
        _between((-1.0, -0.85, 2.7), (1.2, 0.0, 2.9), cornice),
        _between((1.75, -0.08, 0.55), (4.55, 0.02, 2.5), _material(Pattern.POSTER, 0.1, "#31424f", "#b98a5a", "#6f2f2a")),
        _box((3.15, -0.55, 2.78), (3.1, 1.2, 0.06), _material(Pattern.FABRIC, 0.3, "#a33a2c", "#d9cba6", "#3f5f5a"), 0.0, 24.0),
        _between((1.7, -0.12, 0.4), (4.6, 0.0, 0.55), OAK),
        _between((1.7, -0.14, 3.02), (4.6, 0.0, 3.34), _material(Pattern.POSTER, 0.1, "#26343f", "#3f6f6a", "#d9b24a")),
        # A balcony.
        _between((-0.95, -0.9, 3.95), (0.95, 0.0, 4.1), STONE),
        *(_pillar((-0.9 + 0.2 * i, -0.85, 4.1), 0.025, 0.8, IRON) for i in range(10)),
        *(_pillar((x, y, 4.1), 0.025, 0.8, IRON) for x in (-0.9, 0.9) for y in (-0.6, -0.3)),
        _between((-0.95, -0.89, 4.88), (0.95, -0.8, 4.95), IRON),
        # Posters, a lamp and climbing plants.
        _between((-4.9, -0.1, 1.0), (-4.55, 0.0, 2.1), _material(Pattern.POSTER, 0.1, "#d9b56a", "#3f6f8f", "#e8e0cc")),
        _between((-0.95, -0.04, 1.2), (-0.75, 0.0, 1.8), _material(Pattern.POSTER, 0.1, "#4f8c8c", "#d9d3c4", "#33302c")),
        *(
            _ball(
                (-5.0 + float(rng.normal(0.0, 0.3)), -0.1 + float(rng.uniform(-0.1, 0.1)), 2.4 + 0.45 * i),
                (float(rng.uniform(0.35, 0.75)), 0.22, float(rng.uniform(0.35, 0.6))),
                LEAVES,
            )
            for i in range(9)
        ),
        *(
            _ball((-4.6 + 0.42 * i, -0.12, 6.6 + 0.25 * math.sin(2.2 * i)), (0.42, 0.2, 0.33), LEAVES)
            for i in range(6)
        ),
        _between((7.0, -0.5, 0.3), (10.5, -0.34, 2.4), _material(Pattern.POSTER, 0.1, "#4a3f5f", "#c98a5a", "#d9cba6")),
        _between((11.2, -0.5, 0.1), (12.5, -0.34, 2.4), door),
        _box((8.75, -0.9, 2.75), (3.9, 1.2, 0.06), _material(Pattern.FABRIC, 0.3, "#3f6f6a", "#d9cba6", "#b5793f"), 0.0, 22.0),
        _between((-8.6, 0.38, 0.1), (-7.9, 0.5, 2.3), door),
        _between((5.6, -0.42, 1.0), (6.3, -0.34, 2.1), _material(Pattern.POSTER, 0.1, "#c8553a", "#e6dcc2", "#26343f")),
        # On the pavement: lamp post, bench, pots, crates, a column with posters, small trees.
        _pillar((-2.75, -1.9, 0.0), 0.12, 0.35, IRON),
        _pillar((-2.75, -1.9, 0.35), 0.05, 2.9, IRON),
        _ball((-2.75, -1.9, 3.42), 0.2, _material(Pattern.MARBLE, 0.12, "#e0d4b0", "#a08a5a", "#c9b98a", gloss=0.5)),
        _pillar((-2.75, -1.9, 3.56), 0.17, 0.08, IRON),
        _between((-4.6, -0.75, 0.42), (-2.95, -0.3, 0.48), OAK),
        _box((-3.78, -0.26, 0.75), (1.65, 0.05, 0.42), OAK, 0.0, -10.0),
        *(_between((x, -0.72, 0.0), (x + 0.08, -0.3, 0.42), IRON) for x in (-4.5, -3.15)),
        _pillar((4.9, -1.55, 0.0), 0.42, 2.3, _material(Pattern.RUG, 0.34, "#c9a86a", "#3f5f7a", "#a33a2c")),
        _pillar((4.9, -1.55, 2.3), 0.5, 0.14, cornice),
        _ball((4.9, -1.55, 2.5), (0.4, 0.4, 0.2), _material(Pattern.TILES, 0.15, "#4a6f5f", "#6f8f7a", "#3f4f46")),
        _box((2.3, -0.75, 0.2), (0.6, 0.45, 0.4), OAK, 12.0),
        _ball((2.15, -0.75, 0.45), 0.14, _material(Pattern.PLASTER, 0.06, "#d2702a", "#e09a3c", "#a84a1c")),
        _ball((2.42, -0.7, 0.45), 0.13, _material(Pattern.PLASTER, 0.06, "#8fae3a", "#bcc35a", "#5f7d28")),
        _box((3.1, -0.8, 0.18), (0.55, 0.5, 0.36), _material(Pattern.PANEL, 0.14, "#5f7a4a", "#c9b27a", "#3f3a30"), -9.0),
        _ball((3.1, -0.8, 0.44), (0.26, 0.22, 0.16), _material(Pattern.FOLIAGE, 0.09, "#4a6b2f", "#9aa84f", "#c8382c")),
        _box((3.9, -0.7, 0.28), (0.45, 0.45, 0.56), _material(Pattern.PANEL, 0.15, "#3f6f9a", "#d9b24a", "#e9dfc4"), 30.0),
        _pillar((1.45, -0.7, 0.0), 0.2, 0.45, TERRACOTTA),
        _ball((1.45, -0.7, 0.8), (0.3, 0.3, 0.42), LEAVES),
        _pillar((-1.3, -0.7, 0.0), 0.2, 0.45, TERRACOTTA),
        _ball((-1.3, -0.7, 0.78), (0.3, 0.3, 0.38), LEAVES),
    ]  # fmt: skip
    for x, y, height in ((-7.2, -1.6, 2.3), (8.0, -1.9, 2.5), (13.5, -1.8, 2.6), (-12.5, -1.2, 2.6)):
        solids += _tree(x, y, height, 0.9, HEDGE)
    eyes, targets = [], []
    for i in range(PHOTO_COUNT):
        turn = math.radians(-36.0 + 72.0 * i / (PHOTO_COUNT - 1))
        radius = 9.6 + 0.3 * math.cos(5.0 * turn)
        height = 2.3 + 0.8 * math.sin(0.9 * i)
        eyes.append((radius * math.sin(turn), -radius * math.cos(turn), height))
        targets.append((0.9 * math.sin(turn), 0.0, 3.45))
    cameras = _path(eyes, targets, focal_px=400.0)
    return ProceduralScene(
        name="facade",
        solids=tuple(solids),
        light=Light(
            to_sun=_unit(-0.6, -0.75, 0.8),
            sun=np.array([1.7, 1.5, 1.2]),
            sun_radius_rad=0.005,
            zenith=np.array([0.28, 0.45, 0.78]),
            horizon=np.array([0.75, 0.84, 0.95]),
            clouds=0.8,
            exposure=1.5,
        ),
        texel_m=0.14,
        bounces=2,
        cameras=cameras,
        training_names=tuple(cameras.names[i] for i in (1, 5, 10, 14, 18, 22)),
    )
