"""An object, seen from all sides."""

import math
from dataclasses import dataclass

import numpy as np

from tasks.procedural.build import Point, ProceduralScene, ball, box, pillar, tree, turned
from tasks.procedural.materials import Material, Pattern, flowers, poster, surface
from tasks.procedural.palette import CLAY, IRON, MARBLE, OAK, STONE
from tasks.procedural.tables import Thing, assembled, path, sunny
from tasks.procedural.trace import Solid

COBBLES = surface(Pattern.COBBLES, 0.22, "#a89a86", "#7f7467", "#5b5a48")
LAWN = surface(Pattern.FOLIAGE, 0.35, "#4a6b2f", "#8a9d4e", "#c2b872")
TILES = surface(Pattern.TILES, 0.32, "#c2a884", "#8f6f55", "#4a4f55")
BRICK = surface(Pattern.BRICK, 0.26, "#a35a40", "#7f4434", "#b9ad9b")
BODY = surface(Pattern.PANEL, 0.16, "#3f7f8c", "#d0873a", "#e6dcc2", gloss=0.25)
LIMBS = surface(Pattern.PANEL, 0.11, "#c8553a", "#e0b04a", "#3a3f48", gloss=0.2)
HEAD = surface(Pattern.PANEL, 0.13, "#d9a441", "#4a7a5a", "#f0e6cc", gloss=0.4)
BACKPACK = surface(Pattern.TILES, 0.1, "#b8b0a0", "#6f7f86", "#a33a2c")
EYE = surface(Pattern.MARBLE, 0.05, "#d0d8d8", "#2f6fa0", "#e6c65a", gloss=0.8)
MOUTH = surface(Pattern.TILES, 0.05, "#e6dcc2", "#26343f", "#a33a2c")
BEACON = surface(Pattern.PANEL, 0.05, "#c8382c", "#e0a03a", "#f0e6cc", gloss=0.6)
GLAZED_POT = surface(Pattern.TILES, 0.14, "#4f7ba0", "#d9d0b8", "#c8703a")
YELLOW_BUSH = surface(Pattern.FOLIAGE, 0.12, "#3f5f34", "#6f9a50", "#e6c84a")
VIOLET_CRATE = surface(Pattern.PANEL, 0.12, "#8a4a6a", "#d0b04a", "#e6dcc2")
GREEN_CRATE = surface(Pattern.PANEL, 0.18, "#5f7a4a", "#c9b27a", "#3f3a30")
RED_BALL = surface(Pattern.TILES, 0.11, "#d05a3a", "#e6dcc2", "#2f5d8a", gloss=0.5)
MARBLE_BALL = surface(Pattern.MARBLE, 0.16, "#b8c4c0", "#3f5f6a", "#c9a86a", gloss=0.6)
BARREL = surface(Pattern.PANEL, 0.15, "#3f6f9a", "#d9b24a", "#e9dfc4")
STOOL = surface(Pattern.RUG, 0.12, "#a8483a", "#33506a", "#e3d6b4")
PANES = surface(Pattern.PANE, 0.7, "#5f7d94", "#2b3a48", "#c9bda4")
ROOF = surface(Pattern.TILES, 0.7, "#8f4a35", "#74402f", "#4f3a30")
HOUSE_WALLS = (
    surface(Pattern.BRICK, 0.9, "#b0664a", "#8a4c3a", "#c4b8a4"),
    surface(Pattern.PLASTER, 1.4, "#d2b988", "#b89a6a", "#8f7a55"),
    surface(Pattern.PLASTER, 1.2, "#9fb0a8", "#c2c4b0", "#6f857f"),
)
CROWNS = (
    surface(Pattern.FOLIAGE, 0.4, "#35592a", "#7fa04a", "#c9c86a"),
    surface(Pattern.FOLIAGE, 0.4, "#4a5f2a", "#9aa84f", "#d0b050"),
    surface(Pattern.FOLIAGE, 0.4, "#5a5426", "#b58f45", "#d07a40"),
)
WALL_POSTERS = ("#c8553a", "#4f7ba0", "#d9b24a", "#8a4a6a")

GROUND: tuple[Thing, ...] = (
    pillar((0.0, 0.0, -0.2), 5.6, 0.2, COBBLES),
    pillar((0.0, 0.0, -0.3), 40.0, 0.26, LAWN),
    pillar((0.0, 0.0, 0.0), 1.45, 0.12, TILES),
    pillar((0.0, 0.0, 0.12), 1.1, 0.14, STONE),
    box((0.0, 0.0, 0.41), (1.15, 0.95, 0.3), BRICK),
    box((0.0, 0.0, 0.585), (1.3, 1.1, 0.05), STONE),
)
ROBOT: tuple[Thing, ...] = (  # 1.6 m tall
    *(box((x, -0.05, 0.66), (0.26, 0.42, 0.1), LIMBS) for x in (-0.22, 0.22)),
    *(pillar((x, 0.0, 0.71), 0.1, 0.3, LIMBS) for x in (-0.22, 0.22)),
    box((0.0, 0.0, 1.3), (0.78, 0.5, 0.62), BODY),
    box((0.0, -0.26, 1.33), (0.48, 0.04, 0.36), poster("#26343f", "#5f8f8a", "#d9c38f")),
    box((0.0, 0.3, 1.3), (0.5, 0.14, 0.44), BACKPACK),
    *(pillar((x, 0.38, 1.2), 0.07, 0.4, LIMBS) for x in (-0.14, 0.14)),
    *(ball((x, 0.0, 1.5), 0.13, MARBLE) for x in (-0.47, 0.47)),
    box((-0.58, -0.04, 1.24), (0.16, 0.18, 0.5), LIMBS, 0.0, -10.0),
    box((0.62, -0.2, 1.56), (0.16, 0.5, 0.17), LIMBS, 0.0, -24.0),
    ball((-0.58, -0.09, 0.94), 0.11, STONE),
    ball((0.62, -0.46, 1.69), 0.11, STONE),
    pillar((0.0, 0.0, 1.61), 0.12, 0.1, IRON),
    box((0.0, 0.0, 1.91), (0.56, 0.44, 0.42), HEAD),
    *(pillar((x, -0.21, 1.92), 0.085, 0.1, IRON, pitch_deg=90.0) for x in (-0.13, 0.13)),
    *(ball((x, -0.27, 1.97), 0.065, EYE) for x in (-0.13, 0.13)),
    *(ball((x, -0.325, 1.965), 0.03, IRON) for x in (-0.12, 0.14)),
    box((0.0, -0.225, 1.79), (0.3, 0.03, 0.06), MOUTH),
    *(pillar((x, 0.0, 1.83), 0.1, 0.1, IRON, 90.0, 90.0) for x in (-0.3, 0.3)),
    pillar((0.12, 0.05, 2.12), 0.018, 0.24, IRON),
    ball((0.12, 0.05, 2.4), 0.065, BEACON),
    pillar((-0.14, -0.02, 2.12), 0.11, 0.07, LIMBS),
)
IN_THE_COURT: tuple[Thing, ...] = (
    pillar((4.3, -2.3, 0.0), 0.28, 0.42, CLAY),
    ball((4.3, -2.3, 0.72), (0.4, 0.4, 0.42), flowers(0.11, "#d86a8a")),
    pillar((-3.9, 2.9, 0.0), 0.32, 0.36, GLAZED_POT),
    ball((-3.9, 2.9, 0.66), (0.42, 0.42, 0.4), YELLOW_BUSH),
    box((-1.6, -1.2, 0.25), (0.55, 0.5, 0.5), OAK, 24.0),
    box((-1.55, -1.16, 0.66), (0.36, 0.34, 0.32), VIOLET_CRATE, 51.0),
    box((1.6, 1.35, 0.2), (0.5, 0.7, 0.4), GREEN_CRATE, -31.0),
    ball((1.6, 1.35, 0.6), 0.2, RED_BALL),
    ball((0.5, 1.85, 0.24), 0.24, MARBLE_BALL),
    pillar((-0.2, -1.85, 0.02), 0.17, 0.5, BARREL, 60.0, 90.0),
    pillar((-1.95, 0.3, 0.0), 0.22, 0.55, STOOL),
    box((1.95, 0.05, 0.14), (0.6, 0.4, 0.28), BRICK, 70.0),
)


@dataclass(frozen=True, slots=True)
class WallPiece:
    """A piece of the low wall round the court, and the tree behind it."""

    turn: float
    """Direction from the centre of the court, radians."""
    height_m: float
    material: Material
    poster: Material | None
    leaves: Material

    def solids(self, rng: np.random.Generator) -> list[Solid]:
        x, y = 5.9 * math.cos(self.turn), 5.9 * math.sin(self.turn)
        yaw, height = math.degrees(self.turn) + 90.0, self.height_m
        found = [
            box((x, y, height / 2), (2.1, 0.35, height), self.material, yaw),
            box((x, y, height + 0.04), (2.2, 0.48, 0.08), STONE, yaw),
        ]
        if self.poster is not None:
            place, size = (0.965 * x, 0.965 * y, 0.52 * height), (1.3, 0.06, 0.75 * height)
            found.append(box(place, size, self.poster, yaw))
        crown, far = float(rng.uniform(1.0, 1.5)), float(rng.uniform(8.2, 10.5))
        turn = self.turn + float(rng.uniform(-0.1, 0.1))
        x, y, tall = far * math.cos(turn), far * math.sin(turn), float(rng.uniform(1.9, 2.8))
        return found + tree(x, y, tall, crown, self.leaves)


@dataclass(frozen=True, slots=True)
class House:
    """A distant house: walls, windows on two sides, a flat roof with an overhang."""

    turn: float
    """Direction from the centre of the court, radians."""
    walls: Material

    def solids(self, rng: np.random.Generator) -> list[Solid]:
        x, y = 17.0 * math.cos(self.turn), 17.0 * math.sin(self.turn)
        wide, deep, tall = float(rng.uniform(7.5, 9.5)), 5.0, float(rng.uniform(5.8, 8.5))
        yaw = math.degrees(self.turn) + 90.0
        found = [
            box((x, y, tall / 2), (wide, deep, tall), self.walls, yaw),
            box((x, y, tall + 0.15), (wide + 0.7, deep + 0.7, 0.3), ROOF, yaw),
        ]
        for side in (-1, 1):
            for column in (-0.28, 0.02, 0.3):
                dx, dy, _ = turned(yaw) @ [column * wide, side * deep / 2, 0.0]
                found += [
                    box((x + dx, y + dy, row * tall), (0.16 * wide, 0.2, 0.26 * tall), PANES, yaw)
                    for row in (0.28, 0.7)
                ]
        return found


COURT_WALL = tuple(
    WallPiece(
        turn=2.0 * math.pi * (i + 0.5) / 16,
        height_m=0.7 if i % 3 else 1.2,
        material=BRICK if i % 2 else STONE,
        poster=poster(WALL_POSTERS[i // 2 % 4], "#d9d0b8", "#33302c") if i % 2 else None,
        leaves=CROWNS[i % 3],
    )
    for i in range(16)
)
HOUSES = tuple(House(2.0 * math.pi * (i + 0.2) / 9, HOUSE_WALLS[i % 3]) for i in range(9))


def _view(i: int, count: int) -> tuple[Point, Point]:
    """Eye and target of the i-th photo, on a circle around the robot."""
    turn = 2.0 * math.pi * (i / count) - 0.5 * math.pi
    radius = 3.55 + 0.25 * math.sin(3.0 * turn)
    height = 1.85 + 0.6 * math.sin(2.0 * turn + 0.4)
    return (radius * math.cos(turn), radius * math.sin(turn), height), (0.0, 0.0, 1.12)


def orbit() -> ProceduralScene:
    """A painted robot on a plinth in a garden court, seen from all sides."""
    return ProceduralScene(
        name="orbit",
        solids=assembled((*GROUND, *ROBOT, *IN_THE_COURT, *COURT_WALL, *HOUSES), seed=5),
        light=sunny(
            to_sun=(-0.55, -0.6, 0.8),
            sun=(1.75, 1.55, 1.25),
            zenith=(0.28, 0.45, 0.78),
            horizon=(0.78, 0.86, 0.95),
            exposure=1.5,
        ),
        texel_m=0.12,
        bounces=2,
        cameras=path(_view, focal_px=420.0),
    )
