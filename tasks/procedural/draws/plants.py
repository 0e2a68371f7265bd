"""Plants: clusters of leaves around dark cores, with ragged and overlapping outlines."""

import math

import numpy as np

from tasks.procedural.build import Point, ball, box, pillar, turned
from tasks.procedural.draws.chance import Draws
from tasks.procedural.draws.surfaces import bark, blossom, clay, goods, leaves
from tasks.procedural.materials import Material
from tasks.procedural.trace import Shape, Solid


def leaf(draws: Draws, centre: Point, length_m: float, material: Material) -> Solid:
    """Flat ellipsoid in a random orientation."""
    turn = turned(draws.uniform(0.0, 360.0), draws.normal(45.0))
    roll = turned(draws.uniform(0.0, 360.0))
    return Solid(
        shape=Shape.BALL,
        centre=np.array(centre, dtype=np.float64),
        half_size=np.array([0.5, 0.26, 0.06]) * length_m,
        world_from_solid=turn @ roll,
        material=material,
        least_texels=1,
    )


def cluster(
    draws: Draws, centre: Point, radius_m: Point, count: int, material: Material
) -> list[Solid]:
    """Leaves in the outer shell of an ellipsoid, and a core that blocks most of the light."""
    size = (4.0 * radius_m[0] * radius_m[1] * radius_m[2]) ** (1.0 / 3.0)
    length = 1.5 * size / math.sqrt(count / 4.0)
    heart = 0.72
    found = [
        ball(centre, (heart * radius_m[0], heart * radius_m[1], heart * radius_m[2]), material)
    ]
    for _ in range(count):
        direction = draws.generator.normal(size=3)
        direction /= np.linalg.norm(direction)
        x, y, z = np.array(centre) + direction * np.array(radius_m) * draws.uniform(0.68, 1.08)
        found.append(leaf(draws, (x, y, z), length * draws.uniform(0.6, 1.3), material))
    return found


def bush(draws: Draws, radius_m: float, *, count: int = 240) -> list[Solid]:
    """A bush on the ground, sometimes in flower."""
    material = leaves(draws)
    found = []
    for _ in range(draws.integer(1, 3)):
        part = radius_m * draws.uniform(0.6, 0.9)
        x, y = draws.normal(0.3 * radius_m), draws.normal(0.3 * radius_m)
        size = (part, part * draws.uniform(0.8, 1.1), part * draws.uniform(0.75, 1.2))
        found += cluster(draws, (x, y, 0.75 * size[2]), size, count // 2, material)
    if draws.chance(0.45):
        flower = blossom(draws)
        for _ in range(draws.integer(8, 24)):
            turn, up = draws.uniform(0.0, 2.0 * math.pi), draws.uniform(0.2, 1.0)
            across = radius_m * math.sqrt(max(1.05 - up * up, 0.0))
            place = (across * math.cos(turn), across * math.sin(turn), 1.5 * up * radius_m)
            found.append(leaf(draws, place, 0.16 * radius_m, flower))
    return found


def tree(draws: Draws, height_m: float, *, count: int = 560) -> list[Solid]:
    """A trunk, a few branches and a crown of clusters."""
    wood, material = bark(draws), leaves(draws)
    trunk = 0.03 * height_m * draws.uniform(0.7, 1.5)
    found = [pillar((0.0, 0.0, 0.0), trunk, 0.75 * height_m, wood)]
    for _ in range(draws.integer(3, 5)):
        turn = draws.uniform(0.0, 2.0 * math.pi)
        out, up = height_m * draws.uniform(0.08, 0.22), height_m * draws.uniform(0.55, 0.85)
        x, y = out * math.cos(turn), out * math.sin(turn)
        found.append(_bough((0.0, 0.0, 0.4 * height_m), (x, y, up), 0.4 * trunk, wood))
        size = height_m * draws.uniform(0.13, 0.22)
        found += cluster(draws, (x, y, up), (size, size, 0.8 * size), count // 4, material)
    return found


def _bough(start: Point, end: Point, radius_m: float, material: Material) -> Solid:
    """A cylinder from one point to another."""
    a, b = np.array(start), np.array(end)
    along = b - a
    length = float(np.linalg.norm(along))
    yaw = math.atan2(along[0], -along[1])  # pitching about x tips z towards -y
    pitch = math.acos(along[2] / length)
    return Solid(
        shape=Shape.CYLINDER,
        centre=(a + b) / 2.0,
        half_size=np.array([radius_m, radius_m, length / 2.0]),
        world_from_solid=turned(math.degrees(yaw), math.degrees(pitch)),
        material=material,
    )


def fir(draws: Draws, height_m: float) -> list[Solid]:
    """Tiers of needles around a straight trunk."""
    material = leaves(draws)
    found = [pillar((0.0, 0.0, 0.0), 0.025 * height_m, 0.9 * height_m, bark(draws))]
    tiers = draws.integer(4, 6)
    for i in range(tiers):
        up = height_m * (0.25 + 0.7 * i / tiers)
        radius = 0.26 * height_m * (1.05 - i / tiers)
        size = (radius, radius, 0.12 * height_m)
        found += cluster(draws, (0.0, 0.0, up), size, 90, material)
    return found


def pot_plant(draws: Draws, height_m: float) -> list[Solid]:
    """A pot with a small bush, a single stem with a crown, or upright blades."""
    pot = 0.35 * height_m
    radius = pot * draws.uniform(0.4, 0.6)
    material = clay(draws) if draws.chance(0.6) else goods(draws)
    found = [
        pillar((0.0, 0.0, 0.0), radius, pot, material),
        pillar((0.0, 0.0, 0.86 * pot), 1.12 * radius, 0.14 * pot, material),
    ]
    green = leaves(draws)
    kind = draws.integer(0, 2)
    if kind == 0:
        size = (1.5 * radius, 1.4 * radius, 0.36 * height_m)
        found += cluster(draws, (0.0, 0.0, pot + 0.3 * height_m), size, 110, green)
    elif kind == 1:
        found.append(pillar((0.0, 0.0, pot), 0.1 * radius, 0.4 * height_m, bark(draws)))
        size = (1.3 * radius, 1.3 * radius, 0.22 * height_m)
        found += cluster(draws, (0.0, 0.0, pot + 0.45 * height_m), size, 110, green)
    else:
        for _ in range(draws.integer(10, 18)):
            lean, turn = draws.uniform(8.0, 40.0), draws.uniform(0.0, 360.0)
            long = height_m * draws.uniform(0.35, 0.6)
            rotation = turned(turn, lean)
            middle = rotation @ [0.0, 0.0, 0.5 * long] + [0.0, 0.0, pot]
            found.append(
                Solid(
                    shape=Shape.BALL,
                    centre=middle,
                    half_size=np.array([0.04 * height_m, 0.008 * height_m, 0.55 * long]),
                    world_from_solid=rotation,
                    material=green,
                    least_texels=1,
                )
            )
    return found


def hedge(draws: Draws, length_m: float, height_m: float) -> list[Solid]:
    """Row of clusters along x, around a core."""
    material = leaves(draws)
    found = [box((0.0, 0.0, 0.42 * height_m), (length_m, 0.35, 0.84 * height_m), material)]
    place = -0.5 * length_m
    while place < 0.5 * length_m:
        half = draws.uniform(0.3, 0.5)
        size = (half, 0.35, 0.52 * height_m)
        place += half
        found += cluster(draws, (place, 0.0, 0.5 * height_m), size, 110, material)
    return found
