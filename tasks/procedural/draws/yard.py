"""Courts with a subject in the middle, and gardens in front of a hedge, a fence or a wall."""

import math

from tasks.procedural.build import box, pillar
from tasks.procedural.draws import paths, plants, surfaces, things
from tasks.procedural.draws.chance import Draws
from tasks.procedural.draws.places import Place, daylight
from tasks.procedural.draws.street import house_front
from tasks.procedural.draws.things import placed
from tasks.procedural.trace import Solid


def _ground(draws: Draws, radius_m: float) -> list[Solid]:
    """A round floor in a lawn, sometimes with a path across it."""
    found = [
        pillar((0.0, 0.0, -0.4), 60.0, 0.38, draws.choice((surfaces.grass, surfaces.earth))(draws)),
        pillar((0.0, 0.0, -0.2), radius_m, 0.2, draws.choice(
            (surfaces.cobbles, surfaces.paving, surfaces.gravel, surfaces.grass, surfaces.brick)
        )(draws)),
    ]  # fmt: skip
    if draws.chance(0.4):
        yaw = draws.uniform(0.0, 180.0)
        found.append(box((0.0, 0.0, -0.095), (50.0, 1.6, 0.2), surfaces.pavement(draws), yaw))
    return found


def _surroundings(draws: Draws, radius_m: float) -> list[Solid]:
    """Walls, hedges, fences, house fronts and trees on all sides, so that little sky is visible."""
    found: list[Solid] = []
    turn, end = 0.0, 2.0 * math.pi
    kinds = [draws.integer(0, 4) for _ in range(draws.integer(1, 3))]
    wall_surface = surfaces.outer_wall(draws)
    while turn < end - 0.05:
        step = min(draws.uniform(0.3, 0.55), end - turn)
        far = radius_m * draws.uniform(1.5, 1.7)
        middle = turn + step / 2
        length = 2.0 * far * math.tan(step / 2) * 1.02
        kind = draws.choice(kinds)
        if kind == 0:
            part = plants.hedge(draws, length, draws.uniform(1.2, 2.2))
        elif kind == 1:
            part = things.fence(draws, length)
        elif kind == 2:
            part = house_front(draws, max(length, 3.5), draws.integer(1, 2))
        else:
            tall = draws.uniform(1.2, 2.6)
            part = [
                box((0.0, 0.15, tall / 2), (length, 0.3, tall), wall_surface),
                box((0.0, 0.15, tall + 0.04), (length + 0.06, 0.42, 0.08), surfaces.stone(draws)),
            ]
            if draws.chance(0.5):
                poster = surfaces.picture(draws) if draws.chance(0.5) else surfaces.page(draws)
                part.append(
                    box((0.0, -0.01, 0.55 * tall), (0.5 * length, 0.04, 0.6 * tall), poster)
                )
        x, y = far * math.cos(middle), far * math.sin(middle)
        found += placed(part, x, y, 0.0, math.degrees(middle) - 90.0)
        if draws.chance(0.7):
            out = far * draws.uniform(1.25, 1.8)
            size = draws.uniform(3.0, 5.5)
            plant = (
                plants.fir(draws, size)
                if draws.chance(0.3)
                else plants.tree(draws, size, count=320)
            )
            found += placed(plant, out * math.cos(middle), out * math.sin(middle))
        turn += step
    for _ in range(9):  # houses behind
        turn = draws.uniform(0.0, end)
        out = radius_m * 1.5 + draws.uniform(10.0, 16.0)
        walls = surfaces.outer_wall(draws)
        tall = draws.uniform(5.0, 9.0)
        house = [
            box((0.0, 0.0, tall / 2), (draws.uniform(7.0, 12.0), 6.0, tall), walls),
            box((0.0, -1.6, tall + 0.9), (11.0, 4.4, 0.2), surfaces.shingles(draws), 0.0, 32.0),
            *(
                box((x, -3.0, z), (1.2, 0.1, 1.6), surfaces.pane(draws))
                for x in (-3.0, 0.0, 3.0)
                for z in (1.6, 0.72 * tall)
            ),
        ]
        found += placed(house, out * math.cos(turn), out * math.sin(turn), 0.0,
                        math.degrees(turn) - 90.0)  # fmt: skip
    return found


def _subject(draws: Draws) -> tuple[list[Solid], float]:
    """The subject of a court, and its height in metres."""
    kind = draws.integer(0, 5)
    if kind <= 1:
        tall = draws.uniform(1.4, 2.4)
        return placed(things.statue(draws, tall), 0.0, 0.0, 0.0, draws.uniform(0.0, 360.0)), tall
    if kind == 2:
        tall = draws.uniform(1.6, 2.4)
        return placed(plants.pot_plant(draws, tall), 0.0, 0.0), tall
    if kind == 3:  # a heap
        found: list[Solid] = []
        for i in range(draws.integer(4, 7)):
            make = draws.choice((things.crate, things.boxes, things.barrel))
            away, turn = 0.0 if i == 0 else 0.75, 2.4 * i
            part = make(draws, draws.uniform(0.6, 0.9))
            found += placed(
                part, away * math.cos(turn), away * math.sin(turn), 0.0, draws.uniform(0.0, 90.0)
            )
        return found, 1.1
    if kind == 4:  # columns in a ring about a vase
        tall = draws.uniform(1.8, 2.6)
        found = placed(things.vase(draws, 0.6 * tall), 0.0, 0.0, 0.3)
        found.append(pillar((0.0, 0.0, 0.0), 0.55 * tall, 0.15, surfaces.stone(draws)))
        found.append(pillar((0.0, 0.0, 0.15), 0.48 * tall, 0.15, surfaces.stone(draws)))
        count, post = draws.integer(3, 6), things.column(draws, tall - 0.3)
        for i in range(count):
            turn = 2.0 * math.pi * i / count
            away = 0.4 * tall
            found += placed(post, away * math.cos(turn), away * math.sin(turn), 0.3)
        return found, tall
    found = things.table(draws, 1.3)
    for i in range(draws.integer(2, 4)):
        turn = 1.7 * i
        found += placed(things.chair(draws, 1.0), 1.0 * math.sin(turn), -0.85 * math.cos(turn), 0.0,
                        math.degrees(turn) + 180.0 + draws.normal(20.0))  # fmt: skip
    return found, 1.1


def court(draws: Draws) -> Place:
    """A subject in the middle of a court, seen from all sides or from one."""
    subject, tall = _subject(draws)
    radius = draws.uniform(1.5, 2.1) * max(tall, 1.5)
    inner = radius + 1.2
    solids = [*_ground(draws, inner + 0.4), *subject, *_surroundings(draws, inner)]
    for _ in range(draws.integer(5, 9)):  # beside the subject and behind the photographer
        turn = draws.uniform(0.0, 2.0 * math.pi)
        away = draws.uniform(1.15, 1.35) * inner if draws.chance(0.6) else 0.5 * radius
        thing = things.garden_thing(draws) if away > radius else things.toy(draws, 0.4)
        solids += placed(thing, away * math.cos(turn), away * math.sin(turn), 0.0,
                         math.degrees(turn) - 90.0)  # fmt: skip
    sweep = 360.0 if draws.chance(0.5) else draws.uniform(120.0, 260.0)
    aim = tall * draws.uniform(0.4, 0.55)
    path = paths.orbit(draws, (0.0, 0.0, aim), radius, draws.uniform(1.3, 1.9) - aim, sweep)
    return Place(
        solids=solids,
        light=daylight(draws, front=False),
        texel_m=0.16,
        bounces=2,
        cameras=paths.photographed(draws, path, focal_mm=(25.0, 35.0), jitter=0.015),
        clearance_m=0.3,
    )


def garden(draws: Draws) -> Place:
    """Plants and things in front of a hedge, a fence or a wall, seen from an arc or on a walk."""
    solids: list[Solid] = [
        pillar((0.0, 0.0, -0.4), 60.0, 0.38, draws.choice((surfaces.grass, surfaces.earth))(draws)),
        box((0.0, -1.2, -0.1), (14.0, draws.uniform(2.5, 6.0), 0.2), surfaces.pavement(draws)),
    ]
    place = -9.0
    while place < 9.0:
        length, y = draws.uniform(2.2, 5.0), 1.8 + draws.uniform(-0.2, 0.2)
        kind = draws.integer(0, 4)
        if kind == 0:
            part = plants.hedge(draws, length, draws.uniform(1.4, 2.4))
        elif kind == 1:
            part = things.fence(draws, length)
        elif kind == 2:
            length = max(length, 3.5)
            part = house_front(draws, length, 1)
        else:
            tall = draws.uniform(1.4, 2.6)
            part = [box((0.0, 0.15, tall / 2), (length, 0.3, tall), surfaces.outer_wall(draws))]
            if draws.chance(0.5):
                part += placed(things.sign(draws, 0.8 * tall), 0.0, -0.08)
        solids += placed(part, place + length / 2, y)
        place += length
    for i in range(7):
        size = draws.uniform(3.2, 6.0)
        plant = (
            plants.fir(draws, size) if draws.chance(0.3) else plants.tree(draws, size, count=320)
        )
        solids += placed(plant, -12.0 + 4.0 * i + draws.normal(0.5), draws.uniform(4.0, 7.0))
    for i in range(5):
        back = house_front(draws, 8.0, draws.integer(2, 3))
        solids += placed(back, -20.0 + 10.0 * i, draws.uniform(12.0, 15.0))
    if draws.chance(0.5):
        solids += placed(
            things.stairs(draws, draws.uniform(0.9, 1.6)), draws.uniform(-2.0, 2.0), -0.2
        )
    for i in range(draws.integer(11, 16)):
        x = -3.6 + 7.2 * (i + draws.uniform(-0.3, 0.3)) / 15.0
        y = draws.uniform(-1.8, 1.3)
        yaw = draws.choice((0.0, 0.0, 30.0, -40.0, 90.0))
        solids += placed(things.garden_thing(draws), 1.3 * x, y, 0.0, yaw)
    if draws.chance(0.4):
        rail = things.railing(draws, draws.uniform(1.5, 4.0))
        solids += placed(rail, draws.uniform(-2.0, 2.0), -2.0)
    if draws.chance(0.6):
        centre = (draws.uniform(-0.8, 0.8), 0.0, draws.uniform(0.6, 1.0))
        path = paths.forward_arc(draws, centre, draws.uniform(3.8, 5.2), draws.uniform(0.4, 0.9))
    else:
        path = paths.walk(draws, draws.uniform(2.5, 5.0), draws.uniform(3.4, 4.6),
                          draws.uniform(1.3, 1.7), 0.8)  # fmt: skip
    return Place(
        solids=solids,
        light=daylight(draws, front=True),
        texel_m=0.16,
        bounces=2,
        cameras=paths.photographed(draws, path, focal_mm=(24.0, 34.0), jitter=0.012),
        clearance_m=0.3,
    )
