"""Furnished rooms, seen from inside."""

from tasks.procedural.build import between, box, pillar
from tasks.procedural.draws import paths, plants, surfaces, things
from tasks.procedural.draws.chance import Draws
from tasks.procedural.draws.places import Place, window_light
from tasks.procedural.draws.things import placed
from tasks.procedural.materials import Material
from tasks.procedural.trace import Solid


def _window_wall(
    draws: Draws, wide: float, tall: float, wall: Material, outward_m: float
) -> list[Solid]:
    """A wall along x with a window; its inner face is y = 0, its outside at +y."""
    opening = wide * draws.uniform(0.35, 0.6)
    middle = draws.uniform(-0.15, 0.15) * wide
    left, right = middle - opening / 2, middle + opening / 2
    low, high = draws.uniform(0.5, 1.0), tall - draws.uniform(0.25, 0.5)
    frame = surfaces.painted_wood(draws)
    found = [
        between((-wide / 2, 0.0, 0.0), (left, outward_m, tall), wall),
        between((right, 0.0, 0.0), (wide / 2, outward_m, tall), wall),
        between((left, 0.0, 0.0), (right, outward_m, low), wall),
        between((left, 0.0, high), (right, outward_m, tall), wall),
        between((left - 0.05, -0.1, low - 0.05), (right + 0.05, outward_m, low), frame),
        between((left, 0.08, high - 0.06), (right, 0.16, high), frame),
    ]
    bars = draws.integer(1, 3)
    for i in range(bars + 2):
        x = left + 0.03 + (opening - 0.06) * i / (bars + 1)
        found.append(box((x, 0.12, (low + high) / 2), (0.06, 0.08, high - low), frame))
    if draws.chance(0.6):
        cloth = surfaces.fabric(draws)
        found += [
            pillar((x + 0.09 * (i - 2), -0.09, 0.15), 0.05, high - 0.05, cloth)
            for x in (left - 0.25, right + 0.25)
            for i in range(5)
        ]
        long, rod = opening + 1.0, surfaces.iron(draws)
        base = (middle, -0.09, high + 0.12 - long / 2)
        found.append(pillar(base, 0.015, long, rod, yaw_deg=90.0, pitch_deg=90.0))
    return found


def _along_wall(draws: Draws, length: float, tall: float) -> list[Solid]:
    """Furniture along a wall with the face y = 0, and pictures above it."""
    found: list[Solid] = []
    place = -length / 2 + draws.uniform(0.1, 0.4)
    while place < length / 2 - 0.7:
        room, kind = length / 2 - place, draws.integer(0, 7)
        top = 0.0
        wide = 1.0
        if kind <= 1:
            part = things.shelf(draws, draws.uniform(1.1, 2.0))
            wide = 1.6
            found += placed(part, place + 0.8, -0.16)
            top = 2.1
        elif kind == 2 and room > 1.9:
            found += placed(things.armchair(draws, 1.0), place + 0.95, -0.45)
            wide, top = 1.9, 0.95
        elif kind == 3:
            cabinet = draws.choice((surfaces.wood, surfaces.painted_wood))(draws)
            front = draws.choice((surfaces.wood, surfaces.painted_wood, surfaces.panel))(draws)
            wide, top = draws.uniform(0.9, 1.6), draws.uniform(0.7, 1.0)
            found.append(between((place, -0.45, 0.05), (place + wide, 0.0, top), cabinet))
            doors = draws.integer(2, 3)
            for i in range(doors):
                x = place + wide * (i + 0.5) / doors
                size = (0.88 * wide / doors, 0.03, 0.8 * top)
                found.append(box((x, -0.46, 0.52 * top), size, front))
            for _ in range(draws.integer(2, 4)):
                x = place + draws.uniform(0.12, 0.88) * wide
                found += placed(things.small_thing(draws, draws.uniform(0.2, 0.45)), x, -0.23, top)
        elif kind == 4:
            found += placed(things.table(draws, 1.0), place + 0.8, -0.42)
            found += placed(
                things.chair(draws, 1.0), place + 0.8, -1.0, 0.0, 180 + draws.normal(20.0)
            )
            wide, top = 1.6, 1.15
        elif kind == 5:
            found += placed(plants.pot_plant(draws, draws.uniform(0.8, 1.6)), place + 0.45, -0.45)
            wide, top = 0.9, 1.7
        elif kind == 6:
            leaf, inset = surfaces.wood(draws), surfaces.painted_wood(draws)
            found.append(between((place, -0.04, 0.0), (place + 0.9, 0.0, 2.05), leaf))
            for z in (0.25, 1.15):
                low, high = (place + 0.14, -0.06, z), (place + 0.76, 0.0, z + 0.75)
                found.append(between(low, high, inset))
            wide, top = 0.9, 2.2
        else:
            found += placed(things.boxes(draws, 0.6), place + 0.4, -0.4, 0.0, draws.normal(15.0))
            wide, top = 0.8, 1.0
        if top < 1.3 and draws.chance(0.85):
            w, h = draws.uniform(0.4, 0.95) * wide, draws.uniform(0.4, 0.9)
            z = max(top + 0.2 + h / 2, draws.uniform(1.4, 1.7))
            if z + h / 2 < tall - 0.1:
                kind_of = draws.choice((surfaces.picture, surfaces.picture, surfaces.page))
                frame = surfaces.wood(draws)
                x = place + wide / 2
                found.append(box((x, -0.01, z), (w + 0.08, 0.04, h + 0.08), frame))
                found.append(box((x, -0.025, z), (w, 0.03, h), kind_of(draws)))
        place += wide + draws.uniform(0.05, 0.5)
    return found


def _shell(draws: Draws, wide: float, deep: float, tall: float) -> list[Solid]:
    """Floor, walls with one or two windows, a ceiling with a skylight, beams, skirting."""
    hx, hy = wide / 2, deep / 2
    wall, other = surfaces.inner_wall(draws), surfaces.inner_wall(draws)
    ceiling, thick = surfaces.plaster(draws), 0.25
    found: list[Solid] = [
        between((-hx - thick, -hy - thick, -0.2), (hx + thick, hy + thick, 0.0),
                surfaces.floor(draws)),
        pillar((0.0, 0.0, -2.0), 60.0, 1.0, surfaces.grass(draws)),
        *placed(_window_wall(draws, wide, tall, wall, thick), 0.0, hy),
        between((hx, -hy, 0.0), (hx + thick, hy, tall), other),
        between((-hx - thick, -hy, 0.0), (-hx, hy, tall), wall),
    ]  # fmt: skip
    if draws.chance(0.5):
        found += placed(_window_wall(draws, wide, tall, wall, thick), 0.0, -hy, 0.0, 180.0)
    else:
        found.append(between((-hx, -hy - thick, 0.0), (hx, -hy, tall), wall))
    sx, sy = draws.uniform(0.3, 0.5) * hx, draws.uniform(0.3, 0.5) * hy  # half of the skylight
    found += [
        between((-hx - thick, -hy - thick, tall), (-sx, hy + thick, tall + 0.2), ceiling),
        between((sx, -hy - thick, tall), (hx + thick, hy + thick, tall + 0.2), ceiling),
        between((-sx, -hy - thick, tall), (sx, -sy, tall + 0.2), ceiling),
        between((-sx, sy, tall), (sx, hy + thick, tall + 0.2), ceiling),
    ]
    if draws.chance(0.4):
        beam = surfaces.wood(draws)
        found += [
            box((wide * (i / 4 - 0.5), 0.0, tall - 0.08), (0.15, deep, 0.16), beam)
            for i in range(1, 4)
        ]
    skirting = surfaces.painted_wood(draws)
    found += [box((x, 0.0, 0.05), (0.03, deep, 0.1), skirting) for x in (-hx, hx)]
    found += [box((0.0, y, 0.05), (wide, 0.03, 0.1), skirting) for y in (-hy, hy)]
    return found


def _furniture(draws: Draws, wide: float, deep: float, tall: float) -> list[Solid]:
    """Things along the walls, on the floor and below the ceiling; trees behind the window."""
    hx, hy = wide / 2, deep / 2
    walls = ((0.0, -hy, 180.0, wide), (hx, 0.0, -90.0, deep), (-hx, 0.0, 90.0, deep))
    found: list[Solid] = []
    for x, y, yaw, length in walls:
        found += placed(_along_wall(draws, length - 1.0, tall), x, y, 0.0, yaw)
    found += placed(things.room_thing(draws), draws.uniform(-0.5, 0.5) * hx, hy - 0.6)
    if draws.chance(0.7):
        size = (wide * draws.uniform(0.35, 0.55), deep * draws.uniform(0.35, 0.5), 0.02)
        found.append(box((0.0, 0.0, 0.01), size, surfaces.rug(draws), draws.normal(4.0)))
    for x in (-0.55 * hx, 0.55 * hx):
        if draws.chance(0.6):
            y = draws.uniform(-0.5, 0.5) * hy
            found += placed(things.room_thing(draws), x, y, 0.0, draws.uniform(0.0, 360.0))
    for _ in range(draws.integer(6, 12)):  # on the floor, below the cameras
        x, y = draws.uniform(-0.85, 0.85) * hx, draws.uniform(-0.8, 0.8) * hy
        found += placed(things.small_thing(draws, draws.uniform(0.18, 0.45)), x, y, 0.02,
                        draws.uniform(0.0, 360.0))  # fmt: skip
    for x in (-0.6 * hx, 0.6 * hx):  # hanging lamps
        if draws.chance(0.5):
            y, drop = draws.uniform(-0.6, 0.6) * hy, draws.uniform(0.4, 0.8)
            shade = draws.choice((surfaces.enamel, surfaces.fabric, surfaces.polished))(draws)
            found.append(pillar((x, y, tall - drop), 0.008, drop, surfaces.iron(draws)))
            found.append(pillar((x, y, tall - drop - 0.2), draws.uniform(0.1, 0.22), 0.2, shade))
    for i in range(5):  # behind the window
        plant = plants.tree(draws, draws.uniform(3.0, 5.0), count=240)
        found += placed(plant, -6.0 + 3.0 * i, hy + draws.uniform(3.0, 7.0), -1.0)
    return found


def _path(draws: Draws, wide: float, deep: float) -> paths.Path:
    """Turning about near the middle of the room, or looking across it."""
    eye_z = draws.uniform(1.35, 1.65)
    if draws.chance(0.5):
        spot = (draws.uniform(-0.15, 0.15) * wide, draws.uniform(-0.15, 0.15) * deep, eye_z)
        return paths.look_around(draws, spot, 0.5 * min(wide, deep), draws.uniform(0.9, 1.2))
    spot = (0.0, 0.0, draws.uniform(0.8, 1.0))
    sweep = draws.uniform(130.0, 360.0)
    return paths.orbit(draws, spot, 0.3 * min(wide, deep), eye_z - spot[2], sweep)


def room(draws: Draws) -> Place:
    """A room with one or two windows, in views outward from one spot or across the room."""
    wide, deep, tall = draws.uniform(4.2, 7.5), draws.uniform(3.8, 6.0), draws.uniform(2.4, 3.0)
    solids = [*_shell(draws, wide, deep, tall), *_furniture(draws, wide, deep, tall)]
    path = _path(draws, wide, deep)
    return Place(
        solids=solids,
        light=window_light(draws),
        texel_m=0.14,
        bounces=4,
        cameras=paths.photographed(draws, path, focal_mm=(18.0, 26.0), jitter=0.012),
        clearance_m=0.25,
    )
