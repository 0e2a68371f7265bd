"""An object from all sides."""

import math

import numpy as np

from tasks.procedural.build import (
    IRON,
    OAK,
    PHOTO_COUNT,
    STONE,
    TERRACOTTA,
    WHITE_MARBLE,
    Point,
    ProceduralScene,
    ball,
    box,
    path,
    pillar,
    surface,
    tree,
    turned,
    unit,
)
from tasks.procedural.light import Light
from tasks.procedural.materials import Material, Pattern
from tasks.procedural.trace import Solid


def house(
    x: float, y: float, size: Point, yaw_deg: float, walls: Material, roof: Material
) -> list[Solid]:
    """A house far away: walls, windows on two sides, a flat roof that stands out."""
    turn = turned(yaw_deg)
    panes = surface(Pattern.PANE, 0.7, "#5f7d94", "#2b3a48", "#c9bda4")
    solids = [
        box((x, y, size[2] / 2), size, walls, yaw_deg),
        box((x, y, size[2] + 0.15), (size[0] + 0.7, size[1] + 0.7, 0.3), roof, yaw_deg),
    ]
    for side in (-1, 1):
        for column in (-0.28, 0.02, 0.3):
            for row in (0.28, 0.7):
                place = turn @ [column * size[0], side * size[1] / 2, 0.0]
                solids.append(
                    box(
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
    cobbles = surface(Pattern.COBBLES, 0.22, "#a89a86", "#7f7467", "#5b5a48")
    lawn = surface(Pattern.FOLIAGE, 0.35, "#4a6b2f", "#8a9d4e", "#c2b872")
    tiles = surface(Pattern.TILES, 0.32, "#c2a884", "#8f6f55", "#4a4f55")
    body = surface(Pattern.PANEL, 0.16, "#3f7f8c", "#d0873a", "#e6dcc2", gloss=0.25)
    limbs = surface(Pattern.PANEL, 0.11, "#c8553a", "#e0b04a", "#3a3f48", gloss=0.2)
    head = surface(Pattern.PANEL, 0.13, "#d9a441", "#4a7a5a", "#f0e6cc", gloss=0.4)
    brick = surface(Pattern.BRICK, 0.26, "#a35a40", "#7f4434", "#b9ad9b")
    solids = [
        pillar((0.0, 0.0, -0.2), 5.6, 0.2, cobbles),
        pillar((0.0, 0.0, -0.3), 40.0, 0.26, lawn),
        pillar((0.0, 0.0, 0.0), 1.45, 0.12, tiles),
        pillar((0.0, 0.0, 0.12), 1.1, 0.14, STONE),
        box((0.0, 0.0, 0.41), (1.15, 0.95, 0.3), brick),
        box((0.0, 0.0, 0.585), (1.3, 1.1, 0.05), STONE),
        # The robot, 1.6 m tall.
        *(box((x, -0.05, 0.66), (0.26, 0.42, 0.1), limbs) for x in (-0.22, 0.22)),
        *(pillar((x, 0.0, 0.71), 0.1, 0.3, limbs) for x in (-0.22, 0.22)),
        box((0.0, 0.0, 1.3), (0.78, 0.5, 0.62), body),
        box(
            (0.0, -0.26, 1.33),
            (0.48, 0.04, 0.36),
            surface(Pattern.POSTER, 0.1, "#26343f", "#5f8f8a", "#d9c38f"),
        ),
        box(
            (0.0, 0.3, 1.3),
            (0.5, 0.14, 0.44),
            surface(Pattern.TILES, 0.1, "#b8b0a0", "#6f7f86", "#a33a2c"),
        ),
        *(pillar((x, 0.38, 1.2), 0.07, 0.4, limbs) for x in (-0.14, 0.14)),
        ball((-0.47, 0.0, 1.5), 0.13, WHITE_MARBLE),
        ball((0.47, 0.0, 1.5), 0.13, WHITE_MARBLE),
        box((-0.58, -0.04, 1.24), (0.16, 0.18, 0.5), limbs, yaw_deg=0.0, pitch_deg=-10.0),
        box((0.62, -0.2, 1.56), (0.16, 0.5, 0.17), limbs, yaw_deg=0.0, pitch_deg=-24.0),
        ball((-0.58, -0.09, 0.94), 0.11, STONE),
        ball((0.62, -0.46, 1.69), 0.11, STONE),
        pillar((0.0, 0.0, 1.61), 0.12, 0.1, IRON),
        box((0.0, 0.0, 1.91), (0.56, 0.44, 0.42), head),
        *(pillar((x, -0.21, 1.92), 0.085, 0.1, IRON, pitch_deg=90.0) for x in (-0.13, 0.13)),
        *(
            ball(
                (x, -0.27, 1.97),
                0.065,
                surface(Pattern.MARBLE, 0.05, "#d0d8d8", "#2f6fa0", "#e6c65a", gloss=0.8),
            )
            for x in (-0.13, 0.13)
        ),
        *(ball((x, -0.325, 1.965), 0.03, IRON) for x in (-0.12, 0.14)),
        box(
            (0.0, -0.225, 1.79),
            (0.3, 0.03, 0.06),
            surface(Pattern.TILES, 0.05, "#e6dcc2", "#26343f", "#a33a2c"),
        ),
        *(
            pillar((x, 0.0, 1.83), 0.1, 0.1, IRON, yaw_deg=90.0, pitch_deg=90.0)
            for x in (-0.3, 0.3)
        ),
        pillar((0.12, 0.05, 2.12), 0.018, 0.24, IRON),
        ball(
            (0.12, 0.05, 2.4),
            0.065,
            surface(Pattern.PANEL, 0.05, "#c8382c", "#e0a03a", "#f0e6cc", gloss=0.6),
        ),
        pillar((-0.14, -0.02, 2.12), 0.11, 0.07, limbs),
        # Things left about the court.
        pillar((4.3, -2.3, 0.0), 0.28, 0.42, TERRACOTTA),
        ball(
            (4.3, -2.3, 0.72),
            (0.4, 0.4, 0.42),
            surface(Pattern.FOLIAGE, 0.11, "#3c5f2e", "#7d9c48", "#d86a8a"),
        ),
        pillar(
            (-3.9, 2.9, 0.0),
            0.32,
            0.36,
            surface(Pattern.TILES, 0.14, "#4f7ba0", "#d9d0b8", "#c8703a"),
        ),
        ball(
            (-3.9, 2.9, 0.66),
            (0.42, 0.42, 0.4),
            surface(Pattern.FOLIAGE, 0.12, "#3f5f34", "#6f9a50", "#e6c84a"),
        ),
        box((-1.6, -1.2, 0.25), (0.55, 0.5, 0.5), OAK, yaw_deg=24.0),
        box(
            (-1.55, -1.16, 0.66),
            (0.36, 0.34, 0.32),
            surface(Pattern.PANEL, 0.12, "#8a4a6a", "#d0b04a", "#e6dcc2"),
            yaw_deg=51.0,
        ),
        box(
            (1.6, 1.35, 0.2),
            (0.5, 0.7, 0.4),
            surface(Pattern.PANEL, 0.18, "#5f7a4a", "#c9b27a", "#3f3a30"),
            yaw_deg=-31.0,
        ),
        ball(
            (1.6, 1.35, 0.6),
            0.2,
            surface(Pattern.TILES, 0.11, "#d05a3a", "#e6dcc2", "#2f5d8a", gloss=0.5),
        ),
        ball(
            (0.5, 1.85, 0.24),
            0.24,
            surface(Pattern.MARBLE, 0.16, "#b8c4c0", "#3f5f6a", "#c9a86a", gloss=0.6),
        ),
        pillar(
            (-0.2, -1.85, 0.02),
            0.17,
            0.5,
            surface(Pattern.PANEL, 0.15, "#3f6f9a", "#d9b24a", "#e9dfc4"),
            yaw_deg=60.0,
            pitch_deg=90.0,
        ),
        pillar(
            (-1.95, 0.3, 0.0),
            0.22,
            0.55,
            surface(Pattern.RUG, 0.12, "#a8483a", "#33506a", "#e3d6b4"),
        ),
        box((1.95, 0.05, 0.14), (0.6, 0.4, 0.28), brick, yaw_deg=70.0),
    ]
    for i in range(16):  # a low wall with gaps, then trees and houses all round
        turn = 2.0 * math.pi * (i + 0.5) / 16
        x, y = 5.9 * math.cos(turn), 5.9 * math.sin(turn)
        yaw = math.degrees(turn) + 90.0
        height = 0.7 + 0.5 * (i % 3 == 0)
        wall = brick if i % 2 else STONE
        solids.append(box((x, y, height / 2), (2.1, 0.35, height), wall, yaw))
        solids.append(box((x, y, height + 0.04), (2.2, 0.48, 0.08), STONE, yaw))
        if i % 2:
            colours = ("#c8553a", "#4f7ba0", "#d9b24a", "#8a4a6a")[(i // 2) % 4]
            solids.append(
                box(
                    (0.965 * x, 0.965 * y, 0.52 * height),
                    (1.3, 0.06, 0.75 * height),
                    surface(Pattern.POSTER, 0.1, colours, "#d9d0b8", "#33302c"),
                    yaw,
                )
            )
        crown = float(rng.uniform(1.0, 1.5))
        far = float(rng.uniform(8.2, 10.5))
        leaves = surface(
            Pattern.FOLIAGE,
            0.4,
            ("#35592a", "#4a5f2a", "#5a5426")[i % 3],
            ("#7fa04a", "#9aa84f", "#b58f45")[i % 3],
            ("#c9c86a", "#d0b050", "#d07a40")[i % 3],
        )
        turn += float(rng.uniform(-0.1, 0.1))
        solids += tree(
            far * math.cos(turn), far * math.sin(turn), float(rng.uniform(1.9, 2.8)), crown, leaves
        )
    for i in range(9):
        turn = 2.0 * math.pi * (i + 0.2) / 9
        walls = (
            surface(Pattern.BRICK, 0.9, "#b0664a", "#8a4c3a", "#c4b8a4"),
            surface(Pattern.PLASTER, 1.4, "#d2b988", "#b89a6a", "#8f7a55"),
            surface(Pattern.PLASTER, 1.2, "#9fb0a8", "#c2c4b0", "#6f857f"),
        )[i % 3]
        roof = surface(Pattern.TILES, 0.7, "#8f4a35", "#74402f", "#4f3a30")
        solids += house(
            17.0 * math.cos(turn),
            17.0 * math.sin(turn),
            (float(rng.uniform(7.5, 9.5)), 5.0, float(rng.uniform(5.8, 8.5))),
            math.degrees(turn) + 90.0,
            walls,
            roof,
        )
    eyes, targets = [], []
    for i in range(PHOTO_COUNT):
        turn = 2.0 * math.pi * (i / PHOTO_COUNT) - 0.5 * math.pi
        radius = 3.55 + 0.25 * math.sin(3.0 * turn)
        height = 1.85 + 0.6 * math.sin(2.0 * turn + 0.4)
        eyes.append((radius * math.cos(turn), radius * math.sin(turn), height))
        targets.append((0.0, 0.0, 1.12))
    return ProceduralScene(
        name="orbit",
        solids=tuple(solids),
        light=Light(
            to_sun=unit(-0.55, -0.6, 0.8),
            sun=np.array([1.75, 1.55, 1.25]),
            sun_radius_rad=0.005,
            zenith=np.array([0.28, 0.45, 0.78]),
            horizon=np.array([0.78, 0.86, 0.95]),
            clouds=0.8,
            exposure=1.5,
        ),
        texel_m=0.12,
        bounces=2,
        cameras=path(eyes, targets, focal_px=420.0),
    )
