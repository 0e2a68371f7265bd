"""Random things. Each is built at the origin on z = 0 and faces -y; ``size_m`` is its scale."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tasks.procedural.build import Point, ball, between, box, pillar, turned
from tasks.procedural.draws import surfaces
from tasks.procedural.draws.chance import Draws
from tasks.procedural.draws.plants import bush, pot_plant
from tasks.procedural.materials import Material
from tasks.procedural.trace import Solid


def placed(
    solids: Sequence[Solid], x: float, y: float, z: float = 0.0, yaw_deg: float = 0.0
) -> list[Solid]:
    """Solids rotated about the z axis, then translated."""
    turn, move = turned(yaw_deg), np.array([x, y, z])
    return [
        replace(
            solid,
            centre=turn @ solid.centre + move,
            world_from_solid=turn @ solid.world_from_solid,
        )
        for solid in solids
    ]


def crate(draws: Draws, size_m: float) -> list[Solid]:
    material = draws.choice((surfaces.wood, surfaces.painted_wood, surfaces.panel))(draws)
    wide, deep = size_m * draws.uniform(0.8, 1.4), size_m * draws.uniform(0.7, 1.1)
    tall = size_m * draws.uniform(0.6, 1.1)
    found = [between((-wide / 2, -deep / 2, 0.0), (wide / 2, deep / 2, tall), material)]
    if draws.chance(0.6):
        batten, out = surfaces.wood(draws), 0.03 * size_m
        size = (0.1 * wide, deep + 2 * out, 0.98 * tall)
        found += [box((x * wide, 0.0, 0.49 * tall), size, batten) for x in (-0.42, 0.0, 0.42)]
    return found


def boxes(draws: Draws, size_m: float) -> list[Solid]:
    """A stack of printed cartons."""
    found: list[Solid] = []
    z, scale = 0.0, 1.0
    for _ in range(draws.integer(1, 4)):
        wide, deep = (size_m * scale * draws.uniform(0.7, 1.1) for _ in range(2))
        tall = size_m * scale * draws.uniform(0.3, 0.7)
        material = surfaces.cardboard(draws) if draws.chance(0.6) else surfaces.goods(draws)
        part = [between((-wide / 2, -deep / 2, 0.0), (wide / 2, deep / 2, tall), material)]
        if draws.chance(0.7):
            label = surfaces.page(draws, (0.04 * size_m, 0.1 * size_m))
            size = (0.55 * wide, 1.01 * deep, 0.6 * tall)
            part.append(box((0.1 * wide, 0.0, tall / 2), size, label))
        x, y = draws.normal(0.06 * size_m), draws.normal(0.06 * size_m)
        found += placed(part, x, y, z, draws.normal(12.0))
        z, scale = z + tall, 0.9 * scale
    return found


def barrel(draws: Draws, size_m: float) -> list[Solid]:
    radius = 0.36 * size_m
    body = draws.choice((surfaces.wood, surfaces.panel, surfaces.enamel))(draws)
    hoop = surfaces.iron(draws)
    hoops = [
        pillar((0.0, 0.0, z * size_m), 1.05 * radius, 0.05 * size_m, hoop) for z in (0.15, 0.8)
    ]
    return [pillar((0.0, 0.0, 0.0), radius, size_m, body), *hoops]


def stones(draws: Draws, size_m: float) -> list[Solid]:
    material = draws.choice((surfaces.stone, surfaces.granite, surfaces.clay))(draws)
    found = []
    for i in range(draws.integer(4, 11)):
        reach = size_m * draws.uniform(0.12, 0.3)
        away = 0.0 if i == 0 else 0.5 * size_m
        half = (reach, reach * draws.uniform(0.6, 1.0), reach * draws.uniform(0.5, 0.8))
        place = (draws.normal(0.5 * away), draws.normal(0.5 * away), 0.6 * half[2])
        found.append(ball(place, half, material, draws.uniform(0.0, 180.0)))
    return found


def bench(draws: Draws, size_m: float) -> list[Solid]:
    plank, leg = surfaces.wood(draws), surfaces.iron(draws)
    wide, deep, seat = 1.6 * size_m, 0.42 * size_m, 0.44 * size_m
    found = []
    for i in range(4):
        y = -deep / 2 + deep * (i + 0.5) / 4
        found.append(box((0.0, y, seat), (wide, 0.8 * deep / 4, 0.04 * size_m), plank))
    for i in range(draws.integer(0, 3)):
        z = seat + (0.14 + 0.15 * i) * size_m
        found.append(
            box((0.0, 0.24 * size_m, z), (wide, 0.035 * size_m, 0.1 * size_m), plank, 0.0, -9.0)
        )
    for x in (-0.42 * wide, 0.42 * wide):
        found += [pillar((x, y, 0.0), 0.025 * size_m, seat, leg) for y in (-0.4 * deep, 0.4 * deep)]
        found.append(
            pillar((x, 0.26 * size_m, seat), 0.02 * size_m, 0.5 * size_m, leg, pitch_deg=-9.0)
        )
    return found


def table(draws: Draws, size_m: float) -> list[Solid]:
    """A table with small things on it."""
    top, leg = surfaces.wood(draws), draws.choice((surfaces.wood, surfaces.iron))(draws)
    wide, deep, tall = size_m * draws.uniform(0.9, 1.7), 0.75 * size_m, 0.72 * size_m
    if draws.chance(0.2):
        wide = deep
        found = [
            pillar((0.0, 0.0, tall - 0.04 * size_m), deep / 2, 0.04 * size_m, top),
            pillar((0.0, 0.0, 0.0), 0.05 * size_m, tall - 0.04 * size_m, leg),
            pillar((0.0, 0.0, 0.0), 0.3 * size_m, 0.03 * size_m, leg),
        ]
    else:
        found = [box((0.0, 0.0, tall - 0.02 * size_m), (wide, deep, 0.04 * size_m), top)]
        for x in (-0.45 * wide, 0.45 * wide):
            for y in (-0.43 * deep, 0.43 * deep):
                found.append(pillar((x, y, 0.0), 0.03 * size_m, tall - 0.04 * size_m, leg))
    for _ in range(draws.integer(2, 5)):
        x, y = draws.uniform(-0.32, 0.32) * wide, draws.uniform(-0.28, 0.28) * deep
        found += placed(small_thing(draws, 0.3 * size_m), x, y, tall, draws.uniform(0.0, 360.0))
    return found


def chair(draws: Draws, size_m: float) -> list[Solid]:
    seat = draws.choice((surfaces.fabric, surfaces.wood, surfaces.painted_wood))(draws)
    leg = draws.choice((surfaces.wood, surfaces.iron))(draws)
    half, tall = 0.23 * size_m, 0.46 * size_m
    found = [box((0.0, 0.0, tall), (2 * half, 2 * half, 0.05 * size_m), seat)]
    for x in (-0.9 * half, 0.9 * half):
        found.append(pillar((x, -0.9 * half, 0.0), 0.022 * size_m, tall, leg))
        found.append(pillar((x, 0.9 * half, 0.0), 0.022 * size_m, 0.95 * size_m, leg))
    for i in range(draws.integer(1, 4)):
        z = 0.9 * size_m - 0.12 * size_m * i
        found.append(box((0.0, 0.9 * half, z), (1.8 * half, 0.03 * size_m, 0.07 * size_m), seat))
    return found


def armchair(draws: Draws, size_m: float) -> list[Solid]:
    cloth = surfaces.fabric(draws)
    wide = size_m * draws.choice((0.9, 0.9, 1.9))
    deep, arm = 0.85 * size_m, 0.14 * size_m
    return [
        between((-wide / 2, -deep / 2, 0.08 * size_m), (wide / 2, deep / 2, 0.42 * size_m), cloth),
        box((0.0, 0.42 * deep, 0.62 * size_m), (wide, 0.2 * size_m, 0.6 * size_m), cloth),
        *(
            box((x, 0.0, 0.42 * size_m), (arm, deep, 0.4 * size_m), cloth)
            for x in (-wide / 2 + arm / 2, wide / 2 - arm / 2)
        ),
        *(
            box(
                (draws.uniform(-0.3, 0.3) * wide, 0.22 * deep, 0.58 * size_m),
                (0.4 * size_m, 0.13 * size_m, 0.34 * size_m),
                draws.choice((surfaces.fabric, surfaces.tiles, surfaces.rug))(draws),
                draws.normal(15.0),
                -12.0,
            )
            for _ in range(draws.integer(0, 3))
        ),
    ]


def shelf(draws: Draws, size_m: float) -> list[Solid]:
    """Shelves with books and small things; ``size_m`` is their height."""
    board = draws.choice((surfaces.wood, surfaces.painted_wood))(draws)
    wide, deep, levels = size_m * draws.uniform(0.5, 0.9), 0.28, draws.integer(3, 5)
    step = size_m / levels
    found = [
        *(
            between((x - 0.02, -deep / 2, 0.0), (x + 0.02, deep / 2, size_m), board)
            for x in (-wide / 2, wide / 2)
        ),
        between((-wide / 2, 0.45 * deep, 0.0), (wide / 2, 0.5 * deep, size_m), board),
    ]
    for i in range(levels + 1):
        z = min(i * step, size_m - 0.03)
        found.append(between((-wide / 2, -deep / 2, z), (wide / 2, deep / 2, z + 0.03), board))
        if i == levels:
            break
        place = -wide / 2 + 0.04
        while place < wide / 2 - 0.12:
            if draws.chance(0.82):
                thick, tall = draws.uniform(0.025, 0.07), step * draws.uniform(0.5, 0.88)
                size, middle = (thick, draws.uniform(0.15, 0.22), tall), place + thick / 2
                found.append(box((middle, 0.02, z + 0.03 + tall / 2), size, surfaces.spine(draws)))
                place += thick + 0.002
            else:
                gap = draws.uniform(0.1, 0.2)
                if place + gap < wide / 2:
                    found += placed(small_thing(draws, 0.8 * gap), place + gap / 2, -0.02, z + 0.03)
                place += gap
    return found


def lamp_post(draws: Draws, height_m: float) -> list[Solid]:
    iron = surfaces.iron(draws)
    return [
        pillar((0.0, 0.0, 0.0), 0.035 * height_m, 0.1 * height_m, iron),
        pillar((0.0, 0.0, 0.0), 0.013 * height_m, 0.9 * height_m, iron),
        ball((0.0, 0.0, 0.94 * height_m), 0.055 * height_m, surfaces.polished(draws)),
        pillar((0.0, 0.0, 0.98 * height_m), 0.05 * height_m, 0.02 * height_m, iron),
    ]


def sign(draws: Draws, height_m: float) -> list[Solid]:
    """A board on one or two posts."""
    iron = surfaces.iron(draws)
    wide, tall = height_m * draws.uniform(0.3, 0.6), height_m * draws.uniform(0.25, 0.45)
    board = surfaces.page(draws, (0.02 * height_m, 0.06 * height_m))
    if draws.chance(0.3):
        board = surfaces.picture(draws)
    posts = (0.0,) if draws.chance(0.5) else (-0.4 * wide, 0.4 * wide)
    return [
        *(pillar((x, 0.02, 0.0), 0.018 * height_m, 0.98 * height_m, iron) for x in posts),
        box((0.0, -0.01, height_m - tall / 2), (wide, 0.03, tall), board),
    ]


def railing(draws: Draws, length_m: float) -> list[Solid]:
    """Vertical bars between two rails along x."""
    iron = draws.choice((surfaces.iron, surfaces.painted_wood))(draws)
    tall, step = draws.uniform(0.8, 1.1), draws.uniform(0.12, 0.28)
    bar = draws.uniform(0.012, 0.022)
    count = max(int(length_m / step), 2)
    found = [box((0.0, 0.0, z), (length_m, 0.05, 0.04), iron) for z in (0.12 * tall, tall)]
    for i in range(count + 1):
        x = length_m * (i / count - 0.5)
        thick = 2.2 * bar if i % 6 == 0 else bar
        found.append(pillar((x, 0.0, 0.0), thick, tall, iron))
    return found


def fence(draws: Draws, length_m: float) -> list[Solid]:
    """Pickets along x with gaps, each a little crooked."""
    paint = draws.choice((surfaces.wood, surfaces.painted_wood))(draws)
    tall, wide = draws.uniform(0.9, 1.7), draws.uniform(0.08, 0.14)
    step = wide * draws.uniform(1.15, 1.8)
    count = int(length_m / step)
    found = [box((0.0, 0.04, z * tall), (length_m, 0.04, 0.08), paint) for z in (0.2, 0.75)]
    for i in range(count):
        x, up = (i + 0.5 - count / 2) * step, tall * draws.uniform(0.96, 1.03)
        found.append(box((x, 0.0, up / 2), (wide, 0.025, up), paint, draws.normal(1.0)))
    return found


def stairs(draws: Draws, width_m: float) -> list[Solid]:
    """Stairs up towards +y, sometimes between side walls."""
    kinds = (surfaces.stone, surfaces.brick, surfaces.wood, surfaces.granite)
    material = draws.choice(kinds)(draws)
    steps, rise, tread = draws.integer(3, 7), draws.uniform(0.14, 0.18), draws.uniform(0.26, 0.34)
    found = [
        between(
            (-width_m / 2, i * tread, 0.0), (width_m / 2, steps * tread, (i + 1) * rise), material
        )
        for i in range(steps)
    ]
    if draws.chance(0.5):
        cheek = surfaces.stone(draws)
        found += [
            box((x, steps * tread / 2, steps * rise / 2 + 0.1),
                (0.16, steps * tread + 0.1, steps * rise + 0.3), cheek)
            for x in (-width_m / 2 - 0.08, width_m / 2 + 0.08)
        ]  # fmt: skip
    return found


def column(draws: Draws, height_m: float) -> list[Solid]:
    material = draws.choice((surfaces.stone, surfaces.polished, surfaces.plaster))(draws)
    radius = height_m * draws.uniform(0.05, 0.09)
    wide = 2.8 * radius
    return [
        box((0.0, 0.0, 0.02 * height_m), (wide, wide, 0.04 * height_m), material),
        pillar((0.0, 0.0, 0.04 * height_m), 1.25 * radius, 0.04 * height_m, material),
        pillar((0.0, 0.0, 0.08 * height_m), radius, 0.82 * height_m, material),
        ball((0.0, 0.0, 0.9 * height_m), (1.3 * radius, 1.3 * radius, 0.04 * height_m), material),
        box((0.0, 0.0, 0.96 * height_m), (wide, wide, 0.06 * height_m), material),
    ]


def statue(draws: Draws, height_m: float) -> list[Solid]:
    """A figure on a plinth: a trunk, a head, limbs."""
    plinth = draws.choice((surfaces.stone, surfaces.brick, surfaces.granite))(draws)
    skins = (surfaces.panel, surfaces.polished, surfaces.tiles, surfaces.stone,
             surfaces.painted_wood)  # fmt: skip
    skin = [draws.choice(skins)(draws) for _ in range(3)]
    base = 0.25 * height_m
    h = height_m - base
    part = draws.choice((box_part, ball_part, pillar_part))
    found = [
        box((0.0, 0.0, 0.4 * base), (0.62 * h, 0.55 * h, 0.8 * base), plinth),
        box((0.0, 0.0, 0.9 * base), (0.68 * h, 0.6 * h, 0.2 * base), surfaces.stone(draws)),
    ]
    hip, wide = 0.36 * h, h * draws.uniform(0.13, 0.2)
    for x in (-0.6 * wide, 0.6 * wide):
        found += pillar_part((x, 0.0, base + hip / 2), (0.3 * wide, 0.3 * wide, hip / 2), skin[1])
        found.append(ball((x, -0.3 * wide, base + 0.04 * h), (0.4 * wide, 0.7 * wide, 0.05 * h),
                          skin[2]))  # fmt: skip
    found += part((0.0, 0.0, base + 0.56 * h), (wide, 0.7 * wide, 0.2 * h), skin[0])
    found += pillar_part((0.0, 0.0, base + 0.78 * h), (0.3 * wide, 0.3 * wide, 0.05 * h), skin[1])
    head = draws.choice((box_part, ball_part))
    found += head((0.0, -0.02 * h, base + 0.88 * h), (0.1 * h, 0.1 * h, 0.11 * h), skin[2])
    for side in (-1.0, 1.0):
        up, long = draws.uniform(-75.0, 60.0), h * draws.uniform(0.16, 0.22)
        rise, out = long * math.sin(math.radians(up)), long * math.cos(math.radians(up))
        x = side * (wide + out)
        found.append(
            pillar(
                (side * (wide + out / 2), -0.05 * h, base + 0.7 * h + rise / 2 - long / 2),
                0.22 * wide, long * 1.1, skin[1], yaw_deg=side * 90.0, pitch_deg=90.0 - up,
            )
        )  # fmt: skip
        found.append(ball((x, -0.05 * h, base + 0.7 * h + rise), 0.32 * wide, skin[2]))
    return found


def box_part(centre: Point, half: Point, material: Material) -> list[Solid]:
    return [box(centre, (2 * half[0], 2 * half[1], 2 * half[2]), material)]


def ball_part(centre: Point, half: Point, material: Material) -> list[Solid]:
    return [ball(centre, half, material)]


def pillar_part(centre: Point, half: Point, material: Material) -> list[Solid]:
    x, y, z = centre
    return [pillar((x, y, z - half[2]), half[0], 2 * half[2], material)]


def vase(draws: Draws, size_m: float) -> list[Solid]:
    glaze = draws.choice((surfaces.tiles, surfaces.polished, surfaces.enamel))(draws)
    radius = size_m * draws.uniform(0.2, 0.32)
    return [
        pillar((0.0, 0.0, 0.0), 0.6 * radius, 0.06 * size_m, glaze),
        ball((0.0, 0.0, 0.38 * size_m), (radius, radius, 0.36 * size_m), glaze),
        pillar((0.0, 0.0, 0.66 * size_m), 0.4 * radius, 0.24 * size_m, glaze),
        pillar((0.0, 0.0, 0.9 * size_m), 0.6 * radius, 0.05 * size_m, glaze),
    ]


def bottle(draws: Draws, size_m: float) -> list[Solid]:
    glass, radius = surfaces.enamel(draws), size_m * draws.uniform(0.13, 0.18)
    label = surfaces.page(draws, (0.05 * size_m, 0.09 * size_m))
    return [
        pillar((0.0, 0.0, 0.0), radius, 0.6 * size_m, glass),
        pillar((0.0, 0.0, 0.14 * size_m), 1.02 * radius, 0.34 * size_m, label),
        ball((0.0, 0.0, 0.6 * size_m), (radius, radius, 0.12 * size_m), glass),
        pillar((0.0, 0.0, 0.62 * size_m), 0.36 * radius, 0.34 * size_m, glass),
    ]


def books(draws: Draws, size_m: float) -> list[Solid]:
    """A pile of books."""
    found: list[Solid] = []
    z = 0.0
    for _ in range(draws.integer(2, 6)):
        wide, deep = size_m * draws.uniform(0.6, 1.0), size_m * draws.uniform(0.45, 0.75)
        thick = size_m * draws.uniform(0.06, 0.17)
        cover = surfaces.picture(draws) if draws.chance(0.5) else surfaces.page(draws, (0.02, 0.05))
        found.append(box((draws.normal(0.03 * size_m), draws.normal(0.03 * size_m), z + thick / 2),
                         (wide, deep, thick), cover, draws.normal(20.0)))  # fmt: skip
        z += thick
    return found


def bowl(draws: Draws, size_m: float) -> list[Solid]:
    """A dish of fruit."""
    found = [pillar((0.0, 0.0, 0.0), 0.5 * size_m, 0.12 * size_m, surfaces.tiles(draws))]
    for i in range(draws.integer(4, 8)):
        radius, turn = size_m * draws.uniform(0.12, 0.19), 2.4 * i
        away = 0.0 if i == 0 else 0.27 * size_m
        up = 0.12 * size_m + radius * (1.7 if i == 0 else 0.9)
        place = (away * math.cos(turn), away * math.sin(turn), up)
        found.append(ball(place, radius, surfaces.fruit(draws)))
    return found


def cup(draws: Draws, size_m: float) -> list[Solid]:
    glaze = draws.choice((surfaces.tiles, surfaces.enamel, surfaces.polished))(draws)
    return [
        pillar((0.0, 0.0, 0.0), 0.3 * size_m, 0.7 * size_m, glaze),
        pillar((0.0, 0.0, 0.69 * size_m), 0.25 * size_m, 0.02 * size_m, surfaces.bark(draws)),
        box((0.34 * size_m, 0.0, 0.38 * size_m), (0.14 * size_m, 0.06 * size_m, 0.36 * size_m),
            glaze),
    ]  # fmt: skip


def toy(draws: Draws, size_m: float) -> list[Solid]:
    """Stacked blocks with a ball on top."""
    found: list[Solid] = []
    z, half = 0.0, 0.28 * size_m
    for _ in range(draws.integer(2, 4)):
        material = draws.choice((surfaces.enamel, surfaces.panel, surfaces.tiles))(draws)
        tall = half * draws.uniform(0.7, 1.3)
        found.append(
            box((draws.normal(0.1 * half), draws.normal(0.1 * half), z + tall / 2),
                (2 * half, 2 * half, tall), material, draws.uniform(0.0, 90.0))
        )  # fmt: skip
        z, half = z + tall, 0.8 * half
    found.append(ball((0.0, 0.0, z + half), half, surfaces.goods(draws)))
    return found


def small_thing(draws: Draws, size_m: float) -> list[Solid]:
    """A thing for tables and shelves, about ``size_m`` tall."""
    make = draws.choice((vase, bottle, books, bowl, cup, toy, boxes, pot_plant, books, bottle))
    return make(draws, size_m)


def garden_thing(draws: Draws) -> list[Solid]:
    """A thing for the ground outdoors, less than 2 m wide."""
    kind = draws.integer(0, 9)
    if kind <= 1:
        return bush(draws, draws.uniform(0.3, 0.6))
    if kind == 2:
        return pot_plant(draws, draws.uniform(0.5, 1.3))
    if kind == 3:
        return bench(draws, 1.0)
    if kind == 4:
        return table(draws, draws.uniform(0.8, 1.1))
    if kind == 5:
        return sign(draws, draws.uniform(1.0, 2.2))
    if kind == 6:
        return chair(draws, 1.0)
    make = draws.choice((crate, boxes, barrel, stones, vase))
    return make(draws, draws.uniform(0.5, 1.0))


def room_thing(draws: Draws) -> list[Solid]:
    """A thing for the middle of a room."""
    kind = draws.integer(0, 5)
    if kind == 0:
        return armchair(draws, draws.uniform(0.9, 1.1))
    if kind == 1:
        return table(draws, draws.uniform(0.8, 1.1))
    if kind == 2:
        return chair(draws, draws.uniform(0.95, 1.1))
    if kind == 3:
        return pot_plant(draws, draws.uniform(0.6, 1.5))
    make = draws.choice((crate, boxes, toy, barrel))
    return make(draws, draws.uniform(0.35, 0.7))
