"""A house front, seen from across the street."""

import math
from dataclasses import dataclass

import numpy as np

from tasks.procedural.build import Point, ProceduralScene, ball, between, box, pillar, tree
from tasks.procedural.materials import Material, Pattern, flowers, poster, surface
from tasks.procedural.palette import CLAY, HEDGE, IRON, LEAVES, LIME, MARBLE, OAK, ORANGE, STONE
from tasks.procedural.tables import Thing, assembled, path, sunny
from tasks.procedural.trace import Solid

BRICK = surface(Pattern.BRICK, 0.3, "#b0664a", "#84463a", "#c0b4a0")
STUCCO = surface(Pattern.PLASTER, 0.5, "#d0b684", "#b8965f", "#8a6f48")
GREEN_STUCCO = surface(Pattern.PLASTER, 0.6, "#9db09a", "#bfc0a0", "#6a8070")
CORNICE = surface(Pattern.MARBLE, 0.3, "#c9bfa9", "#857a68", "#a3967c")
PAVING = surface(Pattern.TILES, 0.55, "#a59b8c", "#8b8377", "#6a655c")
COBBLES = surface(Pattern.COBBLES, 0.2, "#8b857c", "#67625c", "#4a4a42")
PANES = surface(Pattern.PANE, 0.5, "#6f93ad", "#243442", "#d6c7a6")
TRIM = surface(Pattern.PLANKS, 0.15, "#d9d2c0", "#bdb5a2", "#7d7566")
ROOF = surface(Pattern.TILES, 0.4, "#9a5238", "#7d4230", "#5a3a30")
DOOR = surface(Pattern.PLANKS, 0.2, "#8f3f34", "#6f2d2a", "#331a16", gloss=0.2)
RED_AWNING = surface(Pattern.FABRIC, 0.3, "#a33a2c", "#d9cba6", "#3f5f5a")
GREEN_AWNING = surface(Pattern.FABRIC, 0.3, "#3f6f6a", "#d9cba6", "#b5793f")
LAMP = surface(Pattern.MARBLE, 0.12, "#e0d4b0", "#a08a5a", "#c9b98a", gloss=0.5)
COLUMN_POSTERS = surface(Pattern.RUG, 0.34, "#c9a86a", "#3f5f7a", "#a33a2c")
COLUMN_ROOF = surface(Pattern.TILES, 0.15, "#4a6f5f", "#6f8f7a", "#3f4f46")
CRATE = surface(Pattern.PANEL, 0.14, "#5f7a4a", "#c9b27a", "#3f3a30")
BLUE_CRATE = surface(Pattern.PANEL, 0.15, "#3f6f9a", "#d9b24a", "#e9dfc4")
TOMATOES = surface(Pattern.FOLIAGE, 0.09, "#4a6b2f", "#9aa84f", "#c8382c")
PINK, YELLOW, WHITE, VIOLET = (
    flowers(0.11, blossom) for blossom in ("#d8506a", "#e6c84a", "#e9dfe0", "#b070c0")
)


@dataclass(frozen=True, slots=True)
class Window:
    """A window with frame, lintel and sill."""

    centre: Point
    """On the face of its wall."""
    width_m: float
    height_m: float
    flowers: Material | None = None
    """Of a box on the sill."""
    shutters: str | None = None
    """Their colour."""

    def solids(self, rng: np.random.Generator) -> list[Solid]:
        (x, y, z), wide, tall = self.centre, self.width_m, self.height_m
        half = wide / 2
        found = [
            box((x, y, z), (wide, 0.06, tall), PANES),
            box((x, y - 0.05, z + tall / 2 + 0.07), (wide + 0.3, 0.22, 0.14), CORNICE),
            box((x, y - 0.1, z - tall / 2 - 0.05), (wide + 0.35, 0.34, 0.1), STONE),
            box((x - half, y - 0.04, z), (0.1, 0.12, tall), TRIM),
            box((x + half, y - 0.04, z), (0.1, 0.12, tall), TRIM),
            box((x, y - 0.04, z), (0.06, 0.1, tall), TRIM),
            box((x, y - 0.04, z + 0.12 * tall), (wide, 0.1, 0.06), TRIM),
        ]
        if self.shutters is not None:
            paint = surface(Pattern.PLANKS, 0.1, self.shutters, "#6a6456", "#2a2620")
            found += [
                box((x - half - 0.27, y - 0.07, z), (0.4, 0.07, tall), paint, 0.0),
                box((x + half + 0.24, y - 0.12, z), (0.4, 0.07, tall), paint, -18.0),
            ]
        if self.flowers is not None:
            left, right, low = x - 0.25 * wide, x + 0.25 * wide, z - tall / 2
            found += [
                box((x, y - 0.28, low + 0.1), (wide, 0.24, 0.22), CLAY),
                ball((left, y - 0.3, low + 0.28), (0.34, 0.2, 0.2), self.flowers),
                ball((right, y - 0.3, low + 0.26), (0.36, 0.2, 0.22), self.flowers),
            ]
        return found


@dataclass(frozen=True, slots=True)
class Ivy:
    """Clumps of leaves one above the other, scattered about an upright line."""

    foot: Point
    step_m: float
    count: int

    def solids(self, rng: np.random.Generator) -> list[Solid]:
        x, y, z = self.foot
        found = []
        for i in range(self.count):
            across, out = float(rng.normal(0.0, 0.3)), float(rng.uniform(-0.1, 0.1))
            size = (float(rng.uniform(0.35, 0.75)), 0.22, float(rng.uniform(0.35, 0.6)))
            found.append(ball((x + across, y + out, z + self.step_m * i), size, LEAVES))
        return found


HOUSES: tuple[Thing, ...] = (
    between((-25.0, -18.0, -0.3), (25.0, -2.2, -0.12), COBBLES),
    between((-25.0, -2.2, -0.3), (25.0, 0.4, 0.0), PAVING),
    between((-25.0, -2.35, -0.3), (25.0, -2.2, 0.02), CORNICE),
    between((-5.2, 0.0, 0.0), (5.2, 1.0, 7.6), BRICK),
    between((-5.25, -0.06, 0.0), (5.25, 0.0, 0.55), STONE),
    between((-5.25, -0.12, 3.35), (5.25, 0.0, 3.6), CORNICE),
    between((-5.4, -0.3, 7.35), (5.4, 1.0, 7.6), CORNICE),
    between((-5.5, -0.45, 7.6), (5.5, 1.0, 7.72), STONE),
    *(
        between((-5.2 + 0.8 * i, -0.25, 7.15), (-4.97 + 0.8 * i, 0.0, 7.36), CORNICE)
        for i in range(14)
    ),
    box((0.0, 2.2, 8.6), (11.0, 4.2, 0.3), ROOF, 0.0, 38.0),
    between((-3.6, 0.6, 8.0), (-2.7, 1.6, 10.2), BRICK),
    # Neighbours: one stands back, one stands forward.
    between((-16.0, 0.5, 0.0), (-5.2, 1.6, 6.6), STUCCO),
    between((-16.0, 0.3, 6.6), (-5.25, 1.6, 6.9), CORNICE),
    between((5.2, -0.35, 0.0), (16.0, 1.2, 8.4), GREEN_STUCCO),
    between((5.22, -0.55, 8.4), (16.0, 1.2, 8.7), CORNICE),
    between((-5.35, -0.15, 0.0), (-5.0, 0.0, 7.2), CORNICE),
    between((4.85, -0.15, 0.0), (5.2, 0.0, 7.2), CORNICE),
)
WINDOWS: tuple[Thing, ...] = (
    Window((-3.9, 0.0, 5.25), 1.1, 1.7, PINK, shutters="#3f6f6a"),
    Window((-1.95, 0.0, 5.25), 1.1, 1.7, shutters="#a07a35"),
    Window((0.0, 0.0, 5.25), 1.1, 1.7, WHITE, shutters="#35586f"),
    Window((1.95, 0.0, 5.25), 1.1, 1.7, VIOLET, shutters="#84444c"),
    Window((3.9, 0.0, 5.25), 1.1, 1.7, shutters="#4a5f86"),
    Window((-3.75, 0.0, 1.85), 1.25, 1.6, YELLOW),
    Window((-1.75, 0.0, 1.85), 1.25, 1.6, WHITE),
    Window((-7.0, 0.5, 1.7), 1.1, 1.5),
    Window((-7.0, 0.5, 4.6), 1.1, 1.5, PINK),
    Window((-9.4, 0.5, 1.7), 1.1, 1.5, YELLOW),
    Window((-9.4, 0.5, 4.6), 1.1, 1.5),
    Window((-11.8, 0.5, 1.7), 1.1, 1.5, VIOLET),
    Window((-11.8, 0.5, 4.6), 1.1, 1.5, PINK),
    Window((7.2, -0.35, 4.4), 1.2, 1.5),
    Window((7.2, -0.35, 6.8), 1.2, 1.5, WHITE),
    Window((9.6, -0.35, 4.4), 1.2, 1.5, VIOLET),
    Window((9.6, -0.35, 6.8), 1.2, 1.5),
    Window((12.0, -0.35, 4.4), 1.2, 1.5, YELLOW),
    Window((12.0, -0.35, 6.8), 1.2, 1.5, WHITE),
)
ON_THE_WALLS: tuple[Thing, ...] = (
    # The door with steps, columns and a small roof, and a shop window with an awning.
    between((-0.55, -0.08, 0.3), (0.75, 0.02, 2.6), DOOR),
    between((-0.4, -0.1, 0.5), (0.05, -0.05, 1.3), OAK),
    between((0.15, -0.1, 0.5), (0.6, -0.05, 1.3), OAK),
    between((-0.4, -0.1, 1.5), (0.6, -0.05, 2.4), PANES),
    ball((0.62, -0.12, 1.4), 0.05, MARBLE),
    between((-1.0, -1.0, 0.0), (1.2, 0.0, 0.15), STONE),
    between((-0.85, -0.75, 0.15), (1.05, 0.0, 0.3), STONE),
    pillar((-0.72, -0.6, 0.3), 0.1, 2.4, MARBLE),
    pillar((0.92, -0.6, 0.3), 0.1, 2.4, MARBLE),
    between((-1.0, -0.85, 2.7), (1.2, 0.0, 2.9), CORNICE),
    between((1.75, -0.08, 0.55), (4.55, 0.02, 2.5), poster("#31424f", "#b98a5a", "#6f2f2a")),
    box((3.15, -0.55, 2.78), (3.1, 1.2, 0.06), RED_AWNING, 0.0, 24.0),
    between((1.7, -0.12, 0.4), (4.6, 0.0, 0.55), OAK),
    between((1.7, -0.14, 3.02), (4.6, 0.0, 3.34), poster("#26343f", "#3f6f6a", "#d9b24a")),
    # A balcony.
    between((-0.95, -0.9, 3.95), (0.95, 0.0, 4.1), STONE),
    *(pillar((-0.9 + 0.2 * i, -0.85, 4.1), 0.025, 0.8, IRON) for i in range(10)),
    *(pillar((x, y, 4.1), 0.025, 0.8, IRON) for x in (-0.9, 0.9) for y in (-0.6, -0.3)),
    between((-0.95, -0.89, 4.88), (0.95, -0.8, 4.95), IRON),
    # Posters and climbing plants.
    between((-4.9, -0.1, 1.0), (-4.55, 0.0, 2.1), poster("#d9b56a", "#3f6f8f", "#e8e0cc")),
    between((-0.95, -0.04, 1.2), (-0.75, 0.0, 1.8), poster("#4f8c8c", "#d9d3c4", "#33302c")),
    Ivy((-5.0, -0.1, 2.4), 0.45, 9),
    *(
        ball((-4.6 + 0.42 * i, -0.12, 6.6 + 0.25 * math.sin(2.2 * i)), (0.42, 0.2, 0.33), LEAVES)
        for i in range(6)
    ),
    # Shop window, doors and posters of the neighbours.
    between((7.0, -0.5, 0.3), (10.5, -0.34, 2.4), poster("#4a3f5f", "#c98a5a", "#d9cba6")),
    between((11.2, -0.5, 0.1), (12.5, -0.34, 2.4), DOOR),
    box((8.75, -0.9, 2.75), (3.9, 1.2, 0.06), GREEN_AWNING, 0.0, 22.0),
    between((-8.6, 0.38, 0.1), (-7.9, 0.5, 2.3), DOOR),
    between((5.6, -0.42, 1.0), (6.3, -0.34, 2.1), poster("#c8553a", "#e6dcc2", "#26343f")),
)
ON_THE_PAVEMENT: tuple[Thing, ...] = (
    # A lamp post and a bench.
    pillar((-2.75, -1.9, 0.0), 0.12, 0.35, IRON),
    pillar((-2.75, -1.9, 0.35), 0.05, 2.9, IRON),
    ball((-2.75, -1.9, 3.42), 0.2, LAMP),
    pillar((-2.75, -1.9, 3.56), 0.17, 0.08, IRON),
    between((-4.6, -0.75, 0.42), (-2.95, -0.3, 0.48), OAK),
    box((-3.78, -0.26, 0.75), (1.65, 0.05, 0.42), OAK, 0.0, -10.0),
    *(between((x, -0.72, 0.0), (x + 0.08, -0.3, 0.42), IRON) for x in (-4.5, -3.15)),
    # A column with posters, then crates with fruit, pots and small trees.
    pillar((4.9, -1.55, 0.0), 0.42, 2.3, COLUMN_POSTERS),
    pillar((4.9, -1.55, 2.3), 0.5, 0.14, CORNICE),
    ball((4.9, -1.55, 2.5), (0.4, 0.4, 0.2), COLUMN_ROOF),
    box((2.3, -0.75, 0.2), (0.6, 0.45, 0.4), OAK, 12.0),
    ball((2.15, -0.75, 0.45), 0.14, ORANGE),
    ball((2.42, -0.7, 0.45), 0.13, LIME),
    box((3.1, -0.8, 0.18), (0.55, 0.5, 0.36), CRATE, -9.0),
    ball((3.1, -0.8, 0.44), (0.26, 0.22, 0.16), TOMATOES),
    box((3.9, -0.7, 0.28), (0.45, 0.45, 0.56), BLUE_CRATE, 30.0),
    pillar((1.45, -0.7, 0.0), 0.2, 0.45, CLAY),
    ball((1.45, -0.7, 0.8), (0.3, 0.3, 0.42), LEAVES),
    pillar((-1.3, -0.7, 0.0), 0.2, 0.45, CLAY),
    ball((-1.3, -0.7, 0.78), (0.3, 0.3, 0.38), LEAVES),
    *tree(-7.2, -1.6, 2.3, 0.9, HEDGE),
    *tree(8.0, -1.9, 2.5, 0.9, HEDGE),
    *tree(13.5, -1.8, 2.6, 0.9, HEDGE),
    *tree(-12.5, -1.2, 2.6, 0.9, HEDGE),
)


def _view(i: int, count: int) -> tuple[Point, Point]:
    """Eye and target of the i-th photo, on an arc across the street."""
    turn = math.radians(-36.0 + 72.0 * i / (count - 1))
    radius = 9.6 + 0.3 * math.cos(5.0 * turn)
    height = 2.3 + 0.8 * math.sin(0.9 * i)
    eye = (radius * math.sin(turn), -radius * math.cos(turn), height)
    return eye, (0.9 * math.sin(turn), 0.0, 3.45)


def facade() -> ProceduralScene:
    """The front of a town house and its neighbours, seen from an arc across the street."""
    return ProceduralScene(
        name="facade",
        solids=assembled((*HOUSES, *WINDOWS, *ON_THE_WALLS, *ON_THE_PAVEMENT), seed=3),
        light=sunny(
            to_sun=(-0.6, -0.75, 0.8),
            sun=(1.7, 1.5, 1.2),
            zenith=(0.28, 0.45, 0.78),
            horizon=(0.75, 0.84, 0.95),
            exposure=1.5,
        ),
        texel_m=0.14,
        bounces=2,
        cameras=path(_view, focal_px=400.0),
    )
