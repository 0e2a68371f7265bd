"""Houses, roads, trees and gardens, seen from the air."""

import math

from tasks.procedural.build import box, pillar
from tasks.procedural.draws import paths, plants, surfaces, things
from tasks.procedural.draws.chance import Draws
from tasks.procedural.draws.places import Place, daylight
from tasks.procedural.draws.things import placed
from tasks.procedural.materials import Material
from tasks.procedural.trace import Solid


def _house(draws: Draws, roof: Material) -> list[Solid]:
    """A house with a gabled or flat roof, chimneys, windows."""
    wide, deep, tall = draws.uniform(7.0, 13.0), draws.uniform(6.0, 9.0), draws.uniform(3.0, 6.5)
    walls = surfaces.outer_wall(draws)
    found = [box((0.0, 0.0, tall / 2), (wide, deep, tall), walls)]
    if draws.chance(0.75):
        pitch = draws.uniform(25.0, 42.0)
        rise = deep / 2 * math.tan(math.radians(pitch))
        slope = deep / 2 / math.cos(math.radians(pitch)) + 0.5
        for side in (-1.0, 1.0):
            y, z = side * deep * 0.26, tall + rise * 0.5
            found.append(box((0.0, y, z), (wide + 0.6, slope, 0.22), roof, 0.0, -side * pitch))
        for i in range(5):  # the gable, in steps below the roof
            part = deep * (1.0 - (i + 0.8) / 5.5)
            found.append(box((0.0, 0.0, tall + rise * (i + 0.4) / 5.5), (wide - 0.1, part,
                             rise / 5.0), walls))  # fmt: skip
        for _ in range(draws.integer(0, 3)):
            x, y = draws.uniform(-0.4, 0.4) * wide, draws.uniform(-0.3, 0.3) * deep
            found.append(box((x, y, tall + 0.7 * rise), (0.7, 0.7, rise + 0.8),
                             surfaces.brick(draws)))  # fmt: skip
        for _ in range(draws.integer(0, 4)):  # roof windows
            x, side = draws.uniform(-0.4, 0.4) * wide, draws.choice((-1.0, 1.0))
            place = (x, side * deep * 0.25, tall + rise * 0.5 + 0.12)
            found.append(box(place, (0.9, 1.2, 0.12), surfaces.pane(draws), 0.0, -side * pitch))
    else:
        found.append(box((0.0, 0.0, tall + 0.05), (wide, deep, 0.1), surfaces.gravel(draws)))
        rim = surfaces.stone(draws)
        for side in (-1.0, 1.0):
            found.append(box((0.0, side * deep / 2, tall + 0.2), (wide + 0.3, 0.3, 0.5), rim))
            found.append(box((side * wide / 2, 0.0, tall + 0.2), (0.3, deep, 0.5), rim))
        for _ in range(draws.integer(2, 6)):
            x, y = draws.uniform(-0.4, 0.4) * wide, draws.uniform(-0.35, 0.35) * deep
            size = draws.uniform(0.8, 1.8)
            found += placed(things.crate(draws, size), x, y, tall + 0.1, draws.choice((0.0, 90.0)))
    for side in (-1.0, 1.0):
        for i in range(int(wide / 2.2)):
            x = -wide / 2 + 1.3 + 2.2 * i
            for level in range(int(tall / 2.7)):
                place = (x, side * deep / 2, 1.5 + 2.7 * level)
                found.append(box(place, (1.0, 0.1, 1.3), surfaces.pane(draws)))
    return found


def _car(draws: Draws) -> list[Solid]:
    body, glass, tyre = surfaces.enamel(draws), surfaces.pane(draws), surfaces.asphalt(draws)
    long = draws.uniform(3.8, 4.6)
    found = [
        box((0.0, 0.0, 0.62), (long, 1.75, 0.6), body),
        box((-0.1, 0.0, 1.1), (0.52 * long, 1.5, 0.5), glass),
        box((-0.1, 0.0, 1.36), (0.46 * long, 1.45, 0.06), body),
    ]
    found += [
        pillar((x, y, 0.22), 0.33, 0.22, tyre, pitch_deg=90.0)
        for x in (-0.32 * long, 0.32 * long)
        for y in (-0.8, 0.8)
    ]
    return found


def _plot(draws: Draws, x: float, y: float, cell: float, roof: Material) -> list[Solid]:
    """Ground about (x, y), mostly with a house; trees, a fence or a wall, and things on it."""
    ground = draws.choice((surfaces.meadow, surfaces.meadow, surfaces.earth,
                           surfaces.pavement))(draws)  # fmt: skip
    found = [box((x, y, -0.03), (cell, cell, 0.1), ground)]
    if draws.chance(0.85):
        own = roof if draws.chance(0.6) else surfaces.shingles(draws)
        yaw = draws.choice((0.0, 0.0, 90.0)) + draws.normal(4.0)
        found += placed(_house(draws, own), x + draws.normal(0.6), y + draws.normal(0.6), 0.0, yaw)
    near = max(abs(x), abs(y)) < 30.0
    for _ in range(draws.integer(1, 3)):
        dx, dy = (draws.choice((-1.0, 1.0)) * draws.uniform(0.36, 0.48) * cell for _ in range(2))
        plant = plants.tree(draws, draws.uniform(4.0, 8.0), count=140 if near else 48)
        found += placed(plant, x + dx, y + dy)
    if draws.chance(0.5):
        part = things.fence(draws, 0.8 * cell) if draws.chance(0.3) else [
            box((0.0, 0.0, 0.5), (0.9 * cell, 0.3, 1.0), surfaces.outer_wall(draws))
        ]  # fmt: skip
        found += placed(part, x, y + math.copysign(0.49 * cell, y))
    for _ in range(draws.integer(1, 4)):
        dx, dy = (draws.uniform(-0.45, 0.45) * cell for _ in range(2))
        size = draws.uniform(0.8, 1.6)
        make = draws.choice((things.crate, things.stones, things.boxes))
        found += placed(make(draws, size), x + dx, y + dy, 0.0, draws.uniform(0.0, 90.0))
    return found


def village(draws: Draws) -> Place:
    """Blocks of houses and gardens between roads, seen from a drone on a survey or a circle."""
    height = draws.uniform(22.0, 38.0)
    roof = surfaces.shingles(draws)
    road, cell = surfaces.asphalt(draws), draws.uniform(15.0, 19.0)
    crossing = cell * draws.choice((-1.0, 0.0, 1.0))
    solids: list[Solid] = [
        box((0.0, 0.0, -0.3), (400.0, 400.0, 0.5), surfaces.meadow(draws)),
        box((0.0, 0.0, -0.02), (400.0, 6.0, 0.1), road),
        box((crossing, 0.0, -0.015), (5.5, 400.0, 0.1), road),
    ]
    stripe = surfaces.paint(draws)
    solids += [box((6.0 * i, 0.0, 0.035), (2.2, 0.16, 0.01), stripe) for i in range(-9, 10)]
    for side in (-1.0, 1.0):
        solids.append(box((0.0, side * 3.9, 0.0), (400.0, 1.8, 0.14), surfaces.paving(draws)))
    for i in range(-3, 3):
        for j in (-3, -2, -1, 1, 2, 3):
            x = (i + 0.5) * cell
            x += math.copysign(3.2, x - crossing)  # room for the road between the houses
            y = math.copysign(4.8 + (abs(j) - 0.5) * cell, j)
            solids += _plot(draws, x, y, cell, roof)
    for _ in range(draws.integer(6, 12)):
        x, lane = draws.uniform(-45.0, 45.0), draws.choice((-1.6, 1.6))
        solids += placed(_car(draws), x, lane, 0.03, draws.choice((0.0, 180.0)))
    if draws.chance(0.75):
        path = paths.sweep(draws, height)
    else:
        sweep = draws.uniform(120.0, 360.0)
        path = paths.orbit(draws, (0.0, 0.0, 2.0), 0.9 * height, 0.9 * height, sweep)
    return Place(
        solids=solids,
        light=daylight(draws, front=False),
        texel_m=0.8,
        bounces=2,
        cameras=paths.photographed(draws, path, focal_mm=(24.0, 30.0), jitter=0.008),
        clearance_m=4.0,
    )
