"""House fronts across a street, at y = 0, and things on the pavement."""

from tasks.procedural.build import ball, between, box, pillar
from tasks.procedural.draws import paths, surfaces, things
from tasks.procedural.draws.chance import Draws
from tasks.procedural.draws.places import Place, daylight
from tasks.procedural.draws.plants import cluster, pot_plant, tree
from tasks.procedural.draws.things import placed
from tasks.procedural.materials import Material
from tasks.procedural.trace import Solid


def _window(
    draws: Draws,
    wide: float,
    tall: float,
    trim: Material,
    ledge: Material,
    shutter: Material | None,
) -> list[Solid]:
    """A window around the origin, in a wall with the face y = 0."""
    half, up = wide / 2, tall / 2
    found = [
        box((0.0, 0.0, 0.0), (wide, 0.04, tall), surfaces.pane(draws)),
        box((0.0, -0.03, up + 0.08), (wide + 0.24, 0.2, 0.16), ledge),
        box((0.0, -0.08, -up - 0.05), (wide + 0.3, 0.32, 0.1), ledge),
        *(box((x, -0.02, 0.0), (0.09, 0.18, tall), trim) for x in (-half, half)),
        *(box((0.0, -0.02, z), (wide, 0.18, 0.09), trim) for z in (-up, up)),
    ]
    bars = draws.integer(1, 3)
    found += [
        box((wide * ((i + 1) / (bars + 1) - 0.5), 0.0, 0.0), (0.05, 0.12, tall), trim)
        for i in range(bars)
    ]
    found += [
        box((0.0, 0.0, tall * ((i + 1) / 3 - 0.5)), (wide, 0.1, 0.045), trim)
        for i in range(draws.integer(0, 2))
    ]
    if shutter is not None:
        for side in (-1.0, 1.0):
            open_deg = side * draws.choice((0.0, 0.0, 15.0, 50.0))
            x = side * (half + 0.26)
            found.append(box((x, -0.07, 0.0), (0.42, 0.05, tall), shutter, open_deg))
    if draws.chance(0.3):
        trough, z = surfaces.clay(draws), -up + 0.08
        found.append(box((0.0, -0.2, z), (0.9 * wide, 0.2, 0.18), trough))
        flowers = surfaces.blossom(draws) if draws.chance(0.6) else surfaces.leaves(draws)
        for x in (-0.25 * wide, 0.25 * wide):
            found += cluster(draws, (x, -0.22, z + 0.18), (0.3 * wide, 0.2, 0.18), 60, flowers)
    return found


def _door(draws: Draws, tall: float) -> list[Solid]:
    """A door on the face y = 0, with steps, sometimes with columns and a roof."""
    wide = draws.uniform(0.9, 1.3)
    leaf = draws.choice((surfaces.painted_wood, surfaces.wood, surfaces.enamel))(draws)
    inset = draws.choice((surfaces.wood, surfaces.pane, surfaces.painted_wood))(draws)
    ledge = surfaces.stone(draws)
    found = [
        box((0.0, -0.01, 0.2 + tall / 2), (wide, 0.06, tall), leaf),
        *(
            box((x, -0.05, 0.2 + z * tall), (0.36 * wide, 0.05, 0.36 * tall), inset)
            for x in (-0.22 * wide, 0.22 * wide)
            for z in (0.26, 0.72)
        ),
        *(
            box((x, -0.04, 0.2 + tall / 2), (0.16, 0.16, tall), ledge)
            for x in (-wide / 2 - 0.08, wide / 2 + 0.08)
        ),
        box((0.0, -0.06, 0.3 + tall), (wide + 0.5, 0.26, 0.2), ledge),
        between((-wide / 2 - 0.3, -0.5, 0.0), (wide / 2 + 0.3, 0.0, 0.12), ledge),
        between((-wide / 2 - 0.2, -0.3, 0.12), (wide / 2 + 0.2, 0.0, 0.2), ledge),
        ball((0.38 * wide, -0.1, 1.2), 0.04, surfaces.polished(draws)),
    ]
    if draws.chance(0.35):
        for x in (-wide / 2 - 0.25, wide / 2 + 0.25):
            found += placed(things.column(draws, tall + 0.2), x, -0.65)
        roof = box((0.0, -0.45, tall + 0.33), (wide + 1.0, 0.9, 0.25), ledge)
        found.append(roof)
    return found


def _shop(draws: Draws, wide: float) -> list[Solid]:
    """A shop window on the face y = 0, with a sign, sometimes with an awning."""
    frame = surfaces.painted_wood(draws)
    found = [
        between((-wide / 2, -0.1, 0.1), (wide / 2, 0.02, 0.6), frame),
        between((-wide / 2, -0.02, 0.6), (wide / 2, 0.04, 2.5), surfaces.picture(draws)),
        *(box((x * wide, -0.04, 1.55), (0.08, 0.14, 1.9), frame) for x in (-0.5, -0.17, 0.17, 0.5)),
        between(
            (-wide / 2, -0.16, 2.55), (wide / 2, 0.02, 3.05), surfaces.page(draws, (0.3, 0.42))
        ),
    ]
    if draws.chance(0.6):
        cloth = draws.choice((surfaces.fabric, surfaces.siding))(draws)
        found.append(box((0.0, -0.6, 2.5), (wide + 0.1, 1.2, 0.05), cloth, 0.0, 24.0))
        found += [
            pillar((x * wide, -0.62, 1.85), 0.015, 1.2, surfaces.iron(draws), pitch_deg=62.0)
            for x in (-0.48, 0.48)
        ]
    return found


def _balcony(draws: Draws, wide: float) -> list[Solid]:
    """A balcony with a railing: a slab at z = 0 on the face y = 0."""
    slab = surfaces.stone(draws)
    found = [between((-wide / 2, -0.8, -0.14), (wide / 2, 0.0, 0.0), slab)]
    found += placed(things.railing(draws, wide), 0.0, -0.76)
    for x in (-wide / 2, wide / 2):
        found += placed(things.railing(draws, 0.72), x, -0.4, 0.0, 90.0)
    if draws.chance(0.5):
        plant = pot_plant(draws, draws.uniform(0.5, 0.9))
        found += placed(plant, draws.uniform(-0.3, 0.3) * wide, -0.4)
    return found


def house_front(draws: Draws, wide: float, storeys: int) -> list[Solid]:
    """A house front, ``wide`` metres around x = 0, with the face y = 0."""
    storey, wall = draws.uniform(2.8, 3.4), surfaces.outer_wall(draws)
    ledge, trim = surfaces.stone(draws), surfaces.painted_wood(draws)
    tall, half = storeys * storey + 0.3, wide / 2
    found = [
        between((-half, 0.0, 0.0), (half, 1.0, tall), wall),
        between((-half, -0.05, 0.0), (half, 0.0, draws.uniform(0.3, 0.7)), surfaces.stone(draws)),
        between((-half - 0.1, -0.28, tall - 0.2), (half + 0.1, 1.0, tall), ledge),
        box((0.0, 2.1, tall + 1.2), (wide + 0.3, 5.2, 0.2), surfaces.shingles(draws), 0.0, 32.0),
    ]
    if draws.chance(0.5):
        z = storey + draws.uniform(0.0, 0.2)
        found.append(between((-half, -0.12, z), (half, 0.0, z + 0.2), ledge))
    if draws.chance(0.4):
        step = draws.uniform(0.4, 0.9)
        for i in range(int(wide / step)):
            x = -half + (i + 0.5) * step
            found.append(box((x, -0.12, tall - 0.32), (0.4 * step, 0.24, 0.24), ledge))
    if draws.chance(0.5):
        corner = surfaces.stone(draws)
        found += [
            box((x, -0.02, 0.42 * i + 0.21), (0.34 + i % 2 * 0.16, 0.1, 0.38), corner)
            for x in (0.15 - half, half - 0.15)
            for i in range(int(tall / 0.42) - 1)
        ]
    if draws.chance(0.6):
        x = draws.choice((-half + 0.45, half - 0.45))
        found.append(pillar((x, -0.12, 0.0), 0.06, tall - 0.2, surfaces.iron(draws)))
    bays = max(int(wide / draws.uniform(1.7, 2.6)), 1)
    bay = wide / bays
    size = (bay * draws.uniform(0.4, 0.58), storey * draws.uniform(0.45, 0.62))
    shutter = surfaces.painted_wood(draws) if bay > size[0] + 0.95 and draws.chance(0.7) else None
    door_bay = draws.integer(0, bays - 1)
    shop = bays >= 2 and draws.chance(0.4)
    for i in range(bays):
        x = -half + (i + 0.5) * bay
        for level in range(storeys):
            z = level * storey + 0.58 * storey
            if level == 0 and i == door_bay:
                found += placed(_door(draws, draws.uniform(2.0, 2.3)), x, 0.0)
            elif level == 0 and shop:
                found += placed(_shop(draws, 0.86 * bay), x, 0.0)
            else:
                found += placed(_window(draws, *size, trim, ledge, shutter), x, 0.0, z)
            if level > 0 and draws.chance(0.15):
                low = z - size[1] / 2 - 0.1
                found += placed(_balcony(draws, min(0.9 * bay, size[0] + 0.7)), x, 0.0, low)
        if draws.chance(0.25):
            plate = surfaces.page(draws) if draws.chance(0.5) else surfaces.picture(draws)
            x_plate = x + 0.5 * bay * draws.choice((-0.86, 0.86))
            found.append(box((x_plate, -0.03, 1.6), (0.4, 0.05, 0.6), plate))
    if draws.chance(0.35):  # ivy
        green, x = surfaces.leaves(draws), draws.uniform(-0.45, 0.45) * wide
        for i in range(draws.integer(3, 8)):
            size_m = (draws.uniform(0.4, 0.8), 0.16, draws.uniform(0.4, 0.7))
            place = (x + draws.normal(0.35), -0.1, 0.4 + 0.6 * i)
            if place[2] < tall - 0.5:
                found += cluster(draws, place, size_m, 120, green)
    return found


def street(draws: Draws) -> Place:
    """House fronts side by side, seen from an arc across the street or on a walk along it."""
    solids: list[Solid] = []
    kerb = draws.uniform(1.6, 3.0)
    far = 22.0
    solids += [
        between((-40.0, -40.0, -0.4), (40.0, -kerb, -0.14), surfaces.pavement(draws)),
        between((-40.0, -kerb, -0.4), (40.0, 1.0, 0.0), surfaces.pavement(draws)),
        between((-40.0, -kerb - 0.16, -0.4), (40.0, -kerb, 0.02), surfaces.stone(draws)),
    ]
    storeys = draws.integer(2, 3)
    edge = -0.5 * far
    while edge < 0.5 * far:
        wide = draws.uniform(4.5, 9.0)
        levels = min(max(storeys + draws.integer(-1, 1), 1), 4)
        front = house_front(draws, wide, levels)
        solids += placed(front, edge + wide / 2, draws.uniform(-0.25, 0.25))
        edge += wide
    for _ in range(draws.integer(5, 11)):
        x, y = draws.uniform(-8.0, 8.0), -draws.uniform(0.5, kerb - 0.3)
        solids += placed(
            things.garden_thing(draws), x, y, 0.0, draws.choice((0.0, 0.0, 90.0, 37.0))
        )
    if draws.chance(0.5):
        length = draws.uniform(2.0, 6.0)
        solids += placed(things.railing(draws, length), draws.uniform(-5.0, 5.0), -kerb + 0.25)
    for _ in range(draws.integer(0, 2)):
        post = things.lamp_post(draws, draws.uniform(2.8, 4.0))
        solids += placed(post, draws.uniform(-7.0, 7.0), -kerb + 0.4)
    if draws.chance(0.4):
        plant = tree(draws, draws.uniform(2.8, 4.2))
        solids += placed(plant, draws.uniform(-7.0, 7.0), -kerb + 0.6)
    if draws.chance(0.5):
        distance, middle = draws.uniform(6.5, 10.0), draws.uniform(2.2, 3.2)
        centre = (draws.uniform(-2.0, 2.0), 0.0, middle)
        path = paths.forward_arc(draws, centre, distance, 1.7 - middle)
    else:
        distance = draws.uniform(kerb + 2.2, 8.0)
        height = draws.uniform(1.5, 1.8)
        path = paths.walk(
            draws, draws.uniform(0.7, 1.4) * distance, distance, height, 1.2 + 0.16 * distance
        )
    return Place(
        solids=solids,
        light=daylight(draws, front=True),
        texel_m=0.2,
        bounces=2,
        cameras=paths.photographed(draws, path, focal_mm=(23.0, 32.0), jitter=0.012),
        clearance_m=0.5,
    )
