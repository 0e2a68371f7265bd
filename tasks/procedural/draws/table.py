"""Still lifes: small things close together on a table in front of a wall."""

import math

from tasks.procedural.build import between, box
from tasks.procedural.draws import paths, surfaces, things
from tasks.procedural.draws.chance import Draws
from tasks.procedural.draws.places import Place, daylight
from tasks.procedural.draws.things import placed
from tasks.procedural.trace import Solid


def still_life(draws: Draws) -> Place:
    """Small things on a table outdoors, seen from an arc in front of it."""
    wide, deep = draws.uniform(0.9, 1.5), draws.uniform(0.6, 0.9)
    top = draws.choice((surfaces.wood, surfaces.wood, surfaces.fabric, surfaces.tiles,
                        surfaces.stone))(draws)  # fmt: skip
    back = draws.uniform(0.15, 0.7)
    wall_y = deep / 2 + back
    solids: list[Solid] = [
        between((-wide / 2, -deep / 2, -0.05), (wide / 2, deep / 2, 0.0), top),
        *(
            box((x * wide, y * deep, -0.4), (0.07, 0.07, 0.7), surfaces.wood(draws))
            for x in (-0.45, 0.45)
            for y in (-0.44, 0.44)
        ),
        between((-6.0, -6.0, -0.95), (6.0, wall_y + 0.3, -0.75), surfaces.pavement(draws)),
        between((-6.0, wall_y, -0.75), (6.0, wall_y + 0.3, 2.6), surfaces.outer_wall(draws)),
    ]
    for i in range(9):
        if draws.chance(0.6):
            x, z = -2.4 + 0.6 * i, draws.uniform(0.0, 0.9)
            size = (draws.uniform(0.25, 0.5), 0.03, draws.uniform(0.2, 0.6))
            kind = draws.choice((surfaces.picture, surfaces.page, surfaces.tiles))
            solids.append(box((x, wall_y - 0.01, z), size, kind(draws)))
    if draws.chance(0.4):
        solids += placed(things.shelf(draws, 1.5), draws.uniform(-0.6, 0.6), wall_y - 0.15, -0.75)
    for side in (-1.0, 1.0):
        if draws.chance(0.5):
            thing = things.garden_thing(draws)
            solids += placed(thing, side * (wide / 2 + 0.8), draws.uniform(-0.2, 0.4), -0.75)
    if draws.chance(0.3):
        mat = (0.7 * wide, 0.7 * deep, 0.006)
        solids.append(box((0.0, 0.0, 0.003), mat, surfaces.rug(draws), draws.normal(5.0)))
    taken: list[tuple[float, float, float]] = []
    for _ in range(60):
        if len(taken) == 11:
            break
        tall = draws.uniform(0.12, 0.36)
        x, y = draws.uniform(-0.42, 0.42) * wide, draws.uniform(-0.38, 0.4) * deep
        tall *= 1.0 if y > 0.0 else 0.7  # the taller ones stand behind
        if all(math.hypot(x - a, y - b) > 0.34 * (tall + c) for a, b, c in taken):
            taken.append((x, y, tall))
            solids += placed(things.small_thing(draws, tall), x, y, 0.0, draws.uniform(-60.0, 60.0))
    centre = (draws.uniform(-0.1, 0.1), 0.0, 0.1)
    path = paths.forward_arc(draws, centre, draws.uniform(0.9, 1.3), draws.uniform(0.25, 0.55))
    return Place(
        solids=solids,
        light=daylight(draws, front=True),
        texel_m=0.06,
        bounces=3,
        cameras=paths.photographed(draws, path, focal_mm=(26.0, 42.0), jitter=0.012),
        clearance_m=0.12,
    )
