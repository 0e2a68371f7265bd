"""Solids for tests, and a float64 numpy oracle that intersects them in the world frame."""

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.procedural.materials import Material, Pattern
from tasks.procedural.trace import Shape, Solid

GREY = Material(pattern=Pattern.PLASTER, colours=("#808080", "#808080", "#808080"), scale_m=1e-4)
"""So fine that it is even grey at any footprint."""


def solid(
    shape: Shape,
    centre: tuple[float, float, float],
    half_size: tuple[float, float, float],
    rotation: np.ndarray | None = None,
    material: Material = GREY,
) -> Solid:
    return Solid(
        shape=shape,
        centre=np.array(centre, float),
        half_size=np.array(half_size, float),
        world_from_solid=np.eye(3) if rotation is None else rotation,
        material=material,
    )


def random_solids(rng: np.random.Generator, count: int) -> list[Solid]:
    solids = []
    for i in range(count):
        x, y, z = rng.uniform(-4, 4, 3)
        a, b, c = rng.uniform(0.1, 1.0, 3)
        rotation = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
        solids.append(solid(Shape(i % 3), (x, y, z), (a, b, c), rotation))
    return solids


def crossings(item: Solid, origin: np.ndarray, direction: np.ndarray) -> list[float]:
    """Every ray parameter at which a line crosses the surface, face by face, quadric by quadric."""
    axes = item.world_from_solid.T
    found = []

    def inside(t: float, skip: int) -> bool:
        p = axes @ (origin + t * direction - item.centre) / item.half_size
        if item.shape == Shape.BOX:
            return all(abs(p[k]) <= 1 for k in range(3) if k != skip)
        return bool(p[0] ** 2 + p[1] ** 2 <= 1) if skip == 2 else bool(abs(p[2]) <= 1)

    flat = {Shape.BOX: (0, 1, 2), Shape.CYLINDER: (2,), Shape.BALL: ()}[item.shape]
    for k in flat:
        for sign in (-1.0, 1.0):
            point = item.centre + sign * item.half_size[k] * axes[k]
            t = float((point - origin) @ axes[k] / (direction @ axes[k]))
            if inside(t, k):
                found.append(t)
    if item.shape != Shape.BOX:
        weights = 1.0 / item.half_size**2
        if item.shape == Shape.CYLINDER:
            weights[2] = 0.0
        quadric = axes.T @ np.diag(weights) @ axes
        o = origin - item.centre
        a, b = direction @ quadric @ direction, 2 * direction @ quadric @ o
        roots = np.roots([a, b, o @ quadric @ o - 1.0])
        if np.isreal(roots).all():
            found += [float(t.real) for t in roots if item.shape == Shape.BALL or inside(t.real, 9)]
    return found
