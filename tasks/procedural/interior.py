"""A room, seen from inside."""

import math
from dataclasses import dataclass

import numpy as np

from tasks.procedural.build import Point, ProceduralScene, ball, between, box, pillar
from tasks.procedural.materials import Pattern, poster, surface
from tasks.procedural.palette import (
    BARK,
    CLAY,
    HEDGE,
    IRON,
    LEAVES,
    LIME,
    MARBLE,
    OAK,
    ORANGE,
    STONE,
    WALNUT,
)
from tasks.procedural.tables import Thing, assembled, path, sunny
from tasks.procedural.trace import Solid

WALL = surface(Pattern.PLASTER, 0.42, "#d8c8a6", "#c4ad86", "#a08a68")
BLUE_WALL = surface(Pattern.PLASTER, 0.38, "#8fb0b5", "#b3c4ba", "#668890")
BRICK = surface(Pattern.BRICK, 0.25, "#c07858", "#985a45", "#c9beac")
FLOOR = surface(Pattern.PLANKS, 0.15, "#a9774a", "#7c5130", "#3b2415", gloss=0.06)
CEILING = surface(Pattern.PLASTER, 0.3, "#d8cfbe", "#c4b79f", "#a99c84")
FRAME = surface(Pattern.PLANKS, 0.12, "#d8d2c2", "#bfb7a4", "#8a806d")
SOFA = surface(Pattern.FABRIC, 0.16, "#3f6b6a", "#2d4f55", "#d6b25e")
ARMCHAIR = surface(Pattern.FABRIC, 0.12, "#9c4a35", "#7a3728", "#e2c48a")
CURTAIN = surface(Pattern.FABRIC, 0.2, "#b58b4c", "#8f6a38", "#5a7a6a")
RUG = surface(Pattern.RUG, 0.2, "#8e3b32", "#2f4560", "#dcc79c")
APPLE = surface(Pattern.PLASTER, 0.06, "#b5302a", "#d0583a", "#7c1d1d")
YELLOW_CUSHION = surface(Pattern.FABRIC, 0.09, "#d9b765", "#b8863c", "#7a2f2a")
GREY_CUSHION = surface(Pattern.TILES, 0.1, "#c9c2b0", "#7d8f9a", "#a33a2c")
GREEN_CUSHION = surface(Pattern.FABRIC, 0.07, "#8a9a5b", "#5d6f3a", "#e0cf9a")
VASE = surface(Pattern.TILES, 0.08, "#d9d5c8", "#4f7ba0", "#284a75", gloss=0.6)
VASE_NECK = surface(Pattern.TILES, 0.06, "#d9d5c8", "#4f7ba0", "#284a75")
GLOBE = surface(Pattern.MARBLE, 0.12, "#4f86a8", "#c9b57a", "#6f8f4f", gloss=0.5)
DESK_LAMP = surface(Pattern.PANEL, 0.06, "#c4572f", "#d9b24a", "#e9dfc4")
LAMPSHADE = surface(Pattern.FABRIC, 0.1, "#dcc79c", "#c9a76a", "#8f4a32")
STOOL = surface(Pattern.RUG, 0.09, "#40606a", "#b5793f", "#e3d6b4")
TIN = surface(Pattern.PANEL, 0.09, "#3f5f6f", "#c9a050", "#e0d8c4")
JAR = surface(Pattern.TILES, 0.06, "#c7b68c", "#8f5a3a", "#3f4f5f")
CASKET = surface(Pattern.PLANKS, 0.07, "#b07a48", "#80522c", "#3f2816")
CHEST = surface(Pattern.PANEL, 0.17, "#7a8f6a", "#c9b07a", "#4a3f30")
BOOK_COLOURS = (
    *("#a33a2c", "#2f5d8a", "#3d7a4e", "#d0a03c", "#6b3f78", "#c9c0ab"),
    *("#27404f", "#b8622f", "#7a1f35", "#4f8c8c", "#8b8f3a", "#d9d3c4"),
)


@dataclass(frozen=True, slots=True)
class Books:
    """A row of upright books along x or y, with gaps here and there."""

    start: Point
    length_m: float
    height_m: float
    along_y: bool = False

    def solids(self, rng: np.random.Generator) -> list[Solid]:
        (x, y, z), row, place = self.start, list[Solid](), 0.0
        while place < self.length_m - 0.06:
            thick = float(rng.uniform(0.028, 0.062))
            tall = self.height_m * float(rng.uniform(0.68, 0.97))
            deep = float(rng.uniform(0.17, 0.23))
            cover, band = (BOOK_COLOURS[i] for i in rng.choice(len(BOOK_COLOURS), 2, replace=False))
            material = surface(Pattern.SPINE, 0.05, cover, band, "#e0cf9a")
            middle = place + thick / 2
            if self.along_y:
                row.append(box((x, y + middle, z + tall / 2), (deep, thick, tall), material))
            else:
                row.append(box((x + middle, y, z + tall / 2), (thick, deep, tall), material))
            place += thick + 0.002
            if rng.random() < 0.12:
                place += float(rng.uniform(0.04, 0.1))
        return row


SHELL: tuple[Thing, ...] = (
    between((-0.2, -0.2, -0.2), (6.6, 5.4, 0.0), FLOOR),
    # A ceiling around a skylight of 2.8 x 2 m.
    between((-0.2, -0.2, 2.8), (1.8, 5.4, 3.0), CEILING),
    between((4.6, -0.2, 2.8), (6.6, 5.4, 3.0), CEILING),
    between((1.8, -0.2, 2.8), (4.6, 1.6, 3.0), CEILING),
    between((1.8, 3.6, 2.8), (4.6, 5.4, 3.0), CEILING),
    between((-0.2, -0.2, 0.0), (0.0, 5.4, 2.8), BRICK),
    between((6.4, -0.2, 0.0), (6.6, 5.4, 2.8), BLUE_WALL),
    between((0.0, -0.2, 0.0), (6.4, 0.0, 2.8), WALL),
    # A north wall around a window of 2.4 x 1.4 m, with a hedge behind it.
    between((0.0, 5.2, 0.0), (1.9, 5.4, 2.8), WALL),
    between((4.3, 5.2, 0.0), (6.4, 5.4, 2.8), WALL),
    between((1.9, 5.2, 0.0), (4.3, 5.4, 0.85), WALL),
    between((1.9, 5.2, 2.25), (4.3, 5.4, 2.8), WALL),
    between((1.85, 5.12, 0.8), (4.35, 5.4, 0.86), FRAME),
    between((1.9, 5.26, 0.86), (1.98, 5.34, 2.25), FRAME),
    between((4.22, 5.26, 0.86), (4.3, 5.34, 2.25), FRAME),
    between((3.06, 5.26, 0.86), (3.14, 5.34, 2.25), FRAME),
    between((1.9, 5.26, 2.17), (4.3, 5.34, 2.25), FRAME),
    between((1.9, 5.27, 1.72), (4.3, 5.33, 1.77), FRAME),
    between((-6.0, 11.0, -1.0), (13.0, 12.0, 2.6), HEDGE),
    between((-6.0, 5.6, -0.6), (13.0, 11.0, -0.5), HEDGE),
    ball((1.0, 10.2, 1.6), (1.6, 1.2, 1.8), LEAVES),
    ball((5.6, 10.0, 1.2), (1.3, 1.2, 1.7), HEDGE),
    # Skirting, beams, curtains.
    between((0.0, 0.0, 0.0), (6.4, 0.02, 0.12), FRAME),
    between((0.0, 5.18, 0.0), (6.4, 5.2, 0.12), FRAME),
    between((6.38, 0.0, 0.0), (6.4, 5.2, 0.12), FRAME),
    *(between((x, 0.0, 2.62), (x + 0.16, 5.2, 2.8), WALNUT) for x in (0.9, 2.5, 4.1, 5.7)),
    pillar((3.1, 5.08, 0.95), 0.02, 3.1, IRON, yaw_deg=90.0, pitch_deg=90.0),
    *(pillar((1.52 + 0.1 * i, 5.08, 0.1), 0.055, 2.35, CURTAIN) for i in range(4)),
    *(pillar((4.38 + 0.1 * i, 5.08, 0.1), 0.055, 2.35, CURTAIN) for i in range(4)),
)
RUG_AND_LOW_TABLE: tuple[Thing, ...] = (
    box((3.2, 2.6, 0.008), (2.9, 2.1, 0.016), RUG, 4.0),
    box((3.15, 2.62, 0.40), (1.15, 0.62, 0.05), WALNUT, 12.0),
    *(
        pillar((3.15 + x, 2.62 + y, 0.0), 0.028, 0.38, IRON)
        for x, y in ((-0.46, -0.33), (0.55, -0.12), (-0.55, 0.12), (0.46, 0.33))
    ),
    pillar((2.95, 2.6, 0.425), 0.16, 0.05, MARBLE),
    ball((2.9, 2.58, 0.53), 0.065, ORANGE),
    ball((3.01, 2.63, 0.53), 0.062, LIME),
    ball((2.97, 2.52, 0.525), 0.055, APPLE),
    box((3.45, 2.68, 0.44), (0.3, 0.22, 0.035), poster("#2f5d8a", "#c9b27a", "#e6dfcf"), 35.0),
    box((3.46, 2.69, 0.472), (0.25, 0.18, 0.03), poster("#a33a2c", "#d9a860", "#2a2a2e"), 18.0),
)
EAST_WALL: tuple[Thing, ...] = (  # a sofa under pictures
    between((5.5, 1.3, 0.1), (6.36, 3.7, 0.42), SOFA),
    between((6.12, 1.3, 0.42), (6.36, 3.7, 0.88), SOFA),
    between((5.5, 1.1, 0.1), (6.36, 1.32, 0.62), SOFA),
    between((5.5, 3.68, 0.1), (6.36, 3.9, 0.62), SOFA),
    box((6.0, 1.62, 0.62), (0.14, 0.46, 0.42), YELLOW_CUSHION, 18.0),
    box((6.0, 3.32, 0.6), (0.14, 0.42, 0.38), GREY_CUSHION, -20.0),
    box((5.98, 2.85, 0.58), (0.13, 0.36, 0.34), GREEN_CUSHION, -8.0),
    box((6.38, 1.9, 1.65), (0.05, 1.0, 0.78), poster("#d8b06a", "#3f6f8f", "#e9e2d2")),
    box((6.38, 3.15, 1.7), (0.05, 0.78, 1.0), poster("#7aa08a", "#c96f4a", "#3a2a20")),
    box((6.38, 4.35, 1.55), (0.05, 0.6, 0.6), poster("#c7a7b0", "#4a5b86", "#e0d8c0")),
)
SOUTH_WALL: tuple[Thing, ...] = (
    # A cabinet with a vase, a globe and books, below a picture.
    between((1.5, 0.03, 0.12), (3.5, 0.5, 0.82), OAK),
    *(
        between((1.54 + 0.66 * i, 0.5, 0.18), (2.14 + 0.66 * i, 0.53, 0.76), WALNUT)
        for i in range(3)
    ),
    *(ball((2.04 + 0.66 * i, 0.55, 0.5), 0.025, IRON) for i in range(3)),
    between((1.55, 0.08, 0.0), (1.65, 0.45, 0.12), WALNUT),
    between((3.35, 0.08, 0.0), (3.45, 0.45, 0.12), WALNUT),
    ball((1.85, 0.27, 1.02), (0.15, 0.15, 0.2), VASE),
    pillar((1.85, 0.27, 1.18), 0.05, 0.12, VASE_NECK),
    ball((1.83, 0.29, 1.5), (0.24, 0.2, 0.22), LEAVES),
    pillar((3.1, 0.27, 0.82), 0.09, 0.04, WALNUT),
    pillar((3.1, 0.27, 0.86), 0.02, 0.12, IRON),
    ball((3.1, 0.27, 1.12), 0.17, GLOBE),
    Books((2.2, 0.26, 0.82), 0.5, 0.28),
    box((2.5, 0.02, 1.75), (1.3, 0.05, 0.9), poster("#2f4858", "#d99a5b", "#caa45c")),
    # A door, another picture, a plant.
    between((4.3, 0.0, 0.0), (5.3, 0.05, 2.1), OAK),
    *(between((4.4, 0.05, low), (5.2, 0.075, low + 0.55), WALNUT) for low in (0.18, 0.8, 1.42)),
    ball((5.22, 0.1, 1.02), 0.035, STONE),
    box((0.75, 0.02, 1.6), (0.8, 0.05, 1.1), poster("#8f3f4a", "#d8c29a", "#26221f")),
    pillar((5.85, 0.45, 0.0), 0.2, 0.42, CLAY),
    pillar((5.85, 0.45, 0.42), 0.03, 0.5, BARK),
    ball((5.8, 0.5, 1.15), (0.36, 0.32, 0.42), LEAVES),
    ball((5.95, 0.42, 1.5), (0.24, 0.24, 0.28), LEAVES),
)
AT_THE_WINDOW: tuple[Thing, ...] = (
    # A desk with a lamp.
    between((2.2, 4.5, 0.70), (3.9, 5.1, 0.75), OAK),
    *(
        between((x, y, 0.0), (x + 0.07, y + 0.07, 0.70), OAK)
        for x in (2.25, 3.78)
        for y in (4.55, 4.98)
    ),
    Books((2.28, 4.9, 0.75), 0.42, 0.26),
    box((3.2, 4.78, 0.765), (0.42, 0.3, 0.03), poster("#d9d0b8", "#a8b5a0", "#7a4a3a"), -9.0),
    pillar((3.7, 4.85, 0.75), 0.08, 0.03, IRON),
    pillar((3.7, 4.85, 0.78), 0.012, 0.32, IRON),
    ball((3.7, 4.85, 1.14), (0.13, 0.13, 0.09), DESK_LAMP),
    # An armchair, a standing lamp, a stool.
    box((4.85, 4.45, 0.28), (0.8, 0.75, 0.36), ARMCHAIR, -35.0),
    box((5.08, 4.78, 0.66), (0.8, 0.18, 0.6), ARMCHAIR, -35.0),
    box((4.52, 4.67, 0.45), (0.14, 0.7, 0.34), ARMCHAIR, -35.0),
    box((5.18, 4.22, 0.45), (0.14, 0.7, 0.34), ARMCHAIR, -35.0),
    pillar((5.95, 4.75, 0.0), 0.17, 0.03, IRON),
    pillar((5.95, 4.75, 0.03), 0.018, 1.5, IRON),
    pillar((5.95, 4.75, 1.45), 0.22, 0.32, LAMPSHADE),
    pillar((1.3, 3.9, 0.0), 0.19, 0.44, STOOL),
)
WEST_WALL: tuple[Thing, ...] = (
    # Shelves with books and other things.
    *(between((0.0, 0.9, z), (0.30, 3.3, z + 0.035), OAK) for z in (0.1, 0.5, 0.9, 1.3, 1.7)),
    *(between((0.0, y, 0.0), (0.30, y + 0.04, 2.05), OAK) for y in (0.87, 2.07, 3.29)),
    between((0.0, 0.85, 2.03), (0.32, 3.35, 2.08), OAK),
    *(Books((0.14, 0.93, z), 1.05, 0.34, along_y=True) for z in (0.135, 0.535)),
    Books((0.14, 1.2, 0.935), 1.05, 0.34, along_y=True),
    *(Books((0.14, 0.93, z), 1.05, 0.34, along_y=True) for z in (1.335, 1.735)),
    *(Books((0.14, 2.13, z), 1.1, 0.34, along_y=True) for z in (0.135, 0.535, 1.335)),
    ball((0.16, 2.35, 1.08), 0.13, STONE),
    box((0.16, 2.75, 1.07), (0.2, 0.3, 0.27), TIN, 12.0),
    pillar((0.16, 3.08, 0.935), 0.08, 0.26, CLAY),
    pillar((0.16, 2.4, 1.735), 0.1, 0.2, JAR),
    box((0.16, 2.9, 1.83), (0.22, 0.4, 0.19), CASKET, -6.0),
    # A picture above a chest with a plant.
    box((0.02, 4.2, 1.6), (0.05, 1.1, 0.8), poster("#3f5a3f", "#d9b56a", "#e8e0cc")),
    between((0.02, 3.75, 0.0), (0.55, 4.75, 0.5), CHEST),
    pillar((0.3, 4.0, 0.5), 0.11, 0.2, CLAY),
    ball((0.3, 4.0, 0.86), (0.24, 0.24, 0.24), LEAVES),
    box((0.28, 4.45, 0.62), (0.2, 0.34, 0.24), WALNUT, -14.0),
)


def _view(i: int, count: int) -> tuple[Point, Point]:
    """Eye and target of the i-th photo, on a loop through the room."""
    turn = 2.0 * math.pi * i / count
    c, s = math.cos(turn), math.sin(turn)
    height = 1.5 + 0.18 * math.sin(2.0 * turn + 0.6)
    eye = (3.2 + 1.75 * c, 2.6 + 1.25 * s, height)
    # Across the room, a little off its centre, so that the photos cover all four walls.
    return eye, (3.2 - 1.6 * c + 0.35 * s, 2.6 - 1.3 * s - 0.35 * c, 1.08)


def interior() -> ProceduralScene:
    """A furnished room of 6.4 x 5.2 x 2.8 m, seen on a loop with views across it."""
    furniture = (*RUG_AND_LOW_TABLE, *EAST_WALL, *SOUTH_WALL, *AT_THE_WINDOW, *WEST_WALL)
    return ProceduralScene(
        name="interior",
        solids=assembled((*SHELL, *furniture), seed=11),
        light=sunny(
            to_sun=(0.3, 0.62, 0.85),
            sun=(2.4, 2.1, 1.7),
            zenith=(7.0, 7.4, 7.8),
            horizon=(1.2, 1.5, 1.9),
            exposure=2.6,
        ),
        texel_m=0.09,
        bounces=4,
        cameras=path(_view, focal_px=345.0),
    )
