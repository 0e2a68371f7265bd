"""A house front from across the street."""

import math

import numpy as np

from tasks.procedural.build import (
    HEDGE,
    IRON,
    LEAVES,
    OAK,
    PHOTO_COUNT,
    STONE,
    TERRACOTTA,
    WHITE_MARBLE,
    ProceduralScene,
    ball,
    between,
    box,
    path,
    pillar,
    surface,
    tree,
    unit,
)
from tasks.procedural.light import Light
from tasks.procedural.materials import Pattern


def facade() -> ProceduralScene:
    """The front of a town house and its neighbours, seen from an arc across the street."""
    rng = np.random.default_rng(3)
    brick = surface(Pattern.BRICK, 0.3, "#b0664a", "#84463a", "#c0b4a0")
    stucco = surface(Pattern.PLASTER, 0.5, "#d0b684", "#b8965f", "#8a6f48")
    green_stucco = surface(Pattern.PLASTER, 0.6, "#9db09a", "#bfc0a0", "#6a8070")
    cornice = surface(Pattern.MARBLE, 0.3, "#c9bfa9", "#857a68", "#a3967c")
    paving = surface(Pattern.TILES, 0.55, "#a59b8c", "#8b8377", "#6a655c")
    street = surface(Pattern.COBBLES, 0.2, "#8b857c", "#67625c", "#4a4a42")
    panes = surface(Pattern.PANE, 0.5, "#6f93ad", "#243442", "#d6c7a6")
    trim = surface(Pattern.PLANKS, 0.15, "#d9d2c0", "#bdb5a2", "#7d7566")
    solids = [
        between((-25.0, -18.0, -0.3), (25.0, -2.2, -0.12), street),
        between((-25.0, -2.2, -0.3), (25.0, 0.4, 0.0), paving),
        between((-25.0, -2.35, -0.3), (25.0, -2.2, 0.02), cornice),
        between((-5.2, 0.0, 0.0), (5.2, 1.0, 7.6), brick),
        between((-5.25, -0.06, 0.0), (5.25, 0.0, 0.55), STONE),
        between((-5.25, -0.12, 3.35), (5.25, 0.0, 3.6), cornice),
        between((-5.4, -0.3, 7.35), (5.4, 1.0, 7.6), cornice),
        between((-5.5, -0.45, 7.6), (5.5, 1.0, 7.72), STONE),
        *(
            between((-5.2 + 0.8 * i, -0.25, 7.15), (-4.97 + 0.8 * i, 0.0, 7.36), cornice)
            for i in range(14)
        ),
        box(
            (0.0, 2.2, 8.6),
            (11.0, 4.2, 0.3),
            surface(Pattern.TILES, 0.4, "#9a5238", "#7d4230", "#5a3a30"),
            0.0,
            38.0,
        ),
        between((-3.6, 0.6, 8.0), (-2.7, 1.6, 10.2), brick),
        # Neighbours: one stands back, one stands forward, both have signs and windows.
        between((-16.0, 0.5, 0.0), (-5.2, 1.6, 6.6), stucco),
        between((-16.0, 0.3, 6.6), (-5.25, 1.6, 6.9), cornice),
        between((5.2, -0.35, 0.0), (16.0, 1.2, 8.4), green_stucco),
        between((5.22, -0.55, 8.4), (16.0, 1.2, 8.7), cornice),
        between((-5.35, -0.15, 0.0), (-5.0, 0.0, 7.2), cornice),
        between((4.85, -0.15, 0.0), (5.2, 0.0, 7.2), cornice),
    ]
    shutters = (
        "#3f6f6a",
        "#8f4535",
        "#4a5f86",
        "#a07a35",
        "#5f7a45",
        "#7a4a66",
        "#35586f",
        "#96603a",
        "#52704f",
        "#84444c",
    )
    windows = [
        *((x, 0.0, 5.25, 1.1, 1.7) for x in (-3.9, -1.95, 0.0, 1.95, 3.9)),
        *((x, 0.0, 1.85, 1.25, 1.6) for x in (-3.75, -1.75)),
        *((x, 0.5, z, 1.1, 1.5) for x in (-7.0, -9.4, -11.8) for z in (1.7, 4.6)),
        *((x, -0.35, z, 1.2, 1.5) for x in (7.2, 9.6, 12.0) for z in (4.4, 6.8)),
    ]
    for i, (x, y, z, wide, tall) in enumerate(windows):
        colour = shutters[(3 * i) % len(shutters)]
        paint = surface(Pattern.PLANKS, 0.1, colour, "#6a6456", "#2a2620")
        half = wide / 2
        solids += [
            box((x, y, z), (wide, 0.06, tall), panes),
            box((x, y - 0.05, z + tall / 2 + 0.07), (wide + 0.3, 0.22, 0.14), cornice),
            box((x, y - 0.1, z - tall / 2 - 0.05), (wide + 0.35, 0.34, 0.1), STONE),
            box((x - half, y - 0.04, z), (0.1, 0.12, tall), trim),
            box((x + half, y - 0.04, z), (0.1, 0.12, tall), trim),
            box((x, y - 0.04, z), (0.06, 0.1, tall), trim),
            box((x, y - 0.04, z + 0.12 * tall), (wide, 0.1, 0.06), trim),
        ]
        if abs(x) < 5.0 and z > 4.0:
            solids += [
                box((x - half - 0.27, y - 0.07, z), (0.4, 0.07, tall), paint, 0.0),
                box((x + half + 0.24, y - 0.12, z), (0.4, 0.07, tall), paint, -18.0),
            ]
        if i % 3 != 1:
            blooms = ("#d8506a", "#e6c84a", "#e9dfe0", "#b070c0")[i % 4]
            plants = surface(Pattern.FOLIAGE, 0.11, "#3c5f2e", "#7d9c48", blooms)
            solids += [
                box((x, y - 0.28, z - tall / 2 + 0.1), (wide, 0.24, 0.22), TERRACOTTA),
                ball((x - 0.25 * wide, y - 0.3, z - tall / 2 + 0.28), (0.34, 0.2, 0.2), plants),
                ball((x + 0.25 * wide, y - 0.3, z - tall / 2 + 0.26), (0.36, 0.2, 0.22), plants),
            ]
    door = surface(Pattern.PLANKS, 0.2, "#8f3f34", "#6f2d2a", "#331a16", gloss=0.2)
    solids += [
        # The door with steps, columns and a small roof, and a shop window with an awning.
        between((-0.55, -0.08, 0.3), (0.75, 0.02, 2.6), door),
        between((-0.4, -0.1, 0.5), (0.05, -0.05, 1.3), OAK),
        between((0.15, -0.1, 0.5), (0.6, -0.05, 1.3), OAK),
        between((-0.4, -0.1, 1.5), (0.6, -0.05, 2.4), panes),
        ball((0.62, -0.12, 1.4), 0.05, WHITE_MARBLE),
        between((-1.0, -1.0, 0.0), (1.2, 0.0, 0.15), STONE),
        between((-0.85, -0.75, 0.15), (1.05, 0.0, 0.3), STONE),
        pillar((-0.72, -0.6, 0.3), 0.1, 2.4, WHITE_MARBLE),
        pillar((0.92, -0.6, 0.3), 0.1, 2.4, WHITE_MARBLE),
        between((-1.0, -0.85, 2.7), (1.2, 0.0, 2.9), cornice),
        between(
            (1.75, -0.08, 0.55),
            (4.55, 0.02, 2.5),
            surface(Pattern.POSTER, 0.1, "#31424f", "#b98a5a", "#6f2f2a"),
        ),
        box(
            (3.15, -0.55, 2.78),
            (3.1, 1.2, 0.06),
            surface(Pattern.FABRIC, 0.3, "#a33a2c", "#d9cba6", "#3f5f5a"),
            0.0,
            24.0,
        ),
        between((1.7, -0.12, 0.4), (4.6, 0.0, 0.55), OAK),
        between(
            (1.7, -0.14, 3.02),
            (4.6, 0.0, 3.34),
            surface(Pattern.POSTER, 0.1, "#26343f", "#3f6f6a", "#d9b24a"),
        ),
        # A balcony.
        between((-0.95, -0.9, 3.95), (0.95, 0.0, 4.1), STONE),
        *(pillar((-0.9 + 0.2 * i, -0.85, 4.1), 0.025, 0.8, IRON) for i in range(10)),
        *(pillar((x, y, 4.1), 0.025, 0.8, IRON) for x in (-0.9, 0.9) for y in (-0.6, -0.3)),
        between((-0.95, -0.89, 4.88), (0.95, -0.8, 4.95), IRON),
        # Posters, a lamp and climbing plants.
        between(
            (-4.9, -0.1, 1.0),
            (-4.55, 0.0, 2.1),
            surface(Pattern.POSTER, 0.1, "#d9b56a", "#3f6f8f", "#e8e0cc"),
        ),
        between(
            (-0.95, -0.04, 1.2),
            (-0.75, 0.0, 1.8),
            surface(Pattern.POSTER, 0.1, "#4f8c8c", "#d9d3c4", "#33302c"),
        ),
        *(
            ball(
                (
                    -5.0 + float(rng.normal(0.0, 0.3)),
                    -0.1 + float(rng.uniform(-0.1, 0.1)),
                    2.4 + 0.45 * i,
                ),
                (float(rng.uniform(0.35, 0.75)), 0.22, float(rng.uniform(0.35, 0.6))),
                LEAVES,
            )
            for i in range(9)
        ),
        *(
            ball(
                (-4.6 + 0.42 * i, -0.12, 6.6 + 0.25 * math.sin(2.2 * i)), (0.42, 0.2, 0.33), LEAVES
            )
            for i in range(6)
        ),
        between(
            (7.0, -0.5, 0.3),
            (10.5, -0.34, 2.4),
            surface(Pattern.POSTER, 0.1, "#4a3f5f", "#c98a5a", "#d9cba6"),
        ),
        between((11.2, -0.5, 0.1), (12.5, -0.34, 2.4), door),
        box(
            (8.75, -0.9, 2.75),
            (3.9, 1.2, 0.06),
            surface(Pattern.FABRIC, 0.3, "#3f6f6a", "#d9cba6", "#b5793f"),
            0.0,
            22.0,
        ),
        between((-8.6, 0.38, 0.1), (-7.9, 0.5, 2.3), door),
        between(
            (5.6, -0.42, 1.0),
            (6.3, -0.34, 2.1),
            surface(Pattern.POSTER, 0.1, "#c8553a", "#e6dcc2", "#26343f"),
        ),
        # On the pavement: lamp post, bench, pots, crates, a column with posters, small trees.
        pillar((-2.75, -1.9, 0.0), 0.12, 0.35, IRON),
        pillar((-2.75, -1.9, 0.35), 0.05, 2.9, IRON),
        ball(
            (-2.75, -1.9, 3.42),
            0.2,
            surface(Pattern.MARBLE, 0.12, "#e0d4b0", "#a08a5a", "#c9b98a", gloss=0.5),
        ),
        pillar((-2.75, -1.9, 3.56), 0.17, 0.08, IRON),
        between((-4.6, -0.75, 0.42), (-2.95, -0.3, 0.48), OAK),
        box((-3.78, -0.26, 0.75), (1.65, 0.05, 0.42), OAK, 0.0, -10.0),
        *(between((x, -0.72, 0.0), (x + 0.08, -0.3, 0.42), IRON) for x in (-4.5, -3.15)),
        pillar(
            (4.9, -1.55, 0.0),
            0.42,
            2.3,
            surface(Pattern.RUG, 0.34, "#c9a86a", "#3f5f7a", "#a33a2c"),
        ),
        pillar((4.9, -1.55, 2.3), 0.5, 0.14, cornice),
        ball(
            (4.9, -1.55, 2.5),
            (0.4, 0.4, 0.2),
            surface(Pattern.TILES, 0.15, "#4a6f5f", "#6f8f7a", "#3f4f46"),
        ),
        box((2.3, -0.75, 0.2), (0.6, 0.45, 0.4), OAK, 12.0),
        ball(
            (2.15, -0.75, 0.45),
            0.14,
            surface(Pattern.PLASTER, 0.06, "#d2702a", "#e09a3c", "#a84a1c"),
        ),
        ball(
            (2.42, -0.7, 0.45),
            0.13,
            surface(Pattern.PLASTER, 0.06, "#8fae3a", "#bcc35a", "#5f7d28"),
        ),
        box(
            (3.1, -0.8, 0.18),
            (0.55, 0.5, 0.36),
            surface(Pattern.PANEL, 0.14, "#5f7a4a", "#c9b27a", "#3f3a30"),
            -9.0,
        ),
        ball(
            (3.1, -0.8, 0.44),
            (0.26, 0.22, 0.16),
            surface(Pattern.FOLIAGE, 0.09, "#4a6b2f", "#9aa84f", "#c8382c"),
        ),
        box(
            (3.9, -0.7, 0.28),
            (0.45, 0.45, 0.56),
            surface(Pattern.PANEL, 0.15, "#3f6f9a", "#d9b24a", "#e9dfc4"),
            30.0,
        ),
        pillar((1.45, -0.7, 0.0), 0.2, 0.45, TERRACOTTA),
        ball((1.45, -0.7, 0.8), (0.3, 0.3, 0.42), LEAVES),
        pillar((-1.3, -0.7, 0.0), 0.2, 0.45, TERRACOTTA),
        ball((-1.3, -0.7, 0.78), (0.3, 0.3, 0.38), LEAVES),
    ]
    for x, y, height in (
        (-7.2, -1.6, 2.3),
        (8.0, -1.9, 2.5),
        (13.5, -1.8, 2.6),
        (-12.5, -1.2, 2.6),
    ):
        solids += tree(x, y, height, 0.9, HEDGE)
    eyes, targets = [], []
    for i in range(PHOTO_COUNT):
        turn = math.radians(-36.0 + 72.0 * i / (PHOTO_COUNT - 1))
        radius = 9.6 + 0.3 * math.cos(5.0 * turn)
        height = 2.3 + 0.8 * math.sin(0.9 * i)
        eyes.append((radius * math.sin(turn), -radius * math.cos(turn), height))
        targets.append((0.9 * math.sin(turn), 0.0, 3.45))
    cameras = path(eyes, targets, focal_px=400.0)
    return ProceduralScene(
        name="facade",
        solids=tuple(solids),
        light=Light(
            to_sun=unit(-0.6, -0.75, 0.8),
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
    )
