"""Scenes as tables: rows of solids and groups, a sky, and a camera path."""

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

import numpy as np

from tasks.cameras import Cameras
from tasks.procedural.build import HEIGHT, PHOTO_COUNT, WIDTH, Point, cameras_of, look_at, unit
from tasks.procedural.light import Light
from tasks.procedural.trace import Solid


@runtime_checkable
class Group(Protocol):
    """A row of a scene's table that stands for several solids."""

    def solids(self, rng: np.random.Generator) -> list[Solid]: ...


Thing = Solid | Group
"""A row of a scene's table."""


def assembled(things: Iterable[Thing], seed: int) -> tuple[Solid, ...]:
    """Solids of a table, in its order; one generator, seeded once, serves its groups in turn."""
    rng = np.random.default_rng(seed)
    rows = ([thing] if isinstance(thing, Solid) else thing.solids(rng) for thing in things)
    return tuple(solid for row in rows for solid in row)


def sunny(to_sun: Point, sun: Point, zenith: Point, horizon: Point, exposure: float) -> Light:
    """Sun and a sky with clouds; colours are linear RGB, ``to_sun`` has any length."""
    return Light(
        to_sun=unit(*to_sun),
        sun=np.array(sun),
        sun_radius_rad=0.005,
        zenith=np.array(zenith),
        horizon=np.array(horizon),
        clouds=0.8,
        exposure=exposure,
    )


def path(view: Callable[[int, int], tuple[Point, Point]], focal_px: float) -> Cameras:
    """Cameras of a demo scene; ``view`` gives eye and target of the i-th of n photos."""
    poses = [look_at(*view(i, PHOTO_COUNT)) for i in range(PHOTO_COUNT)]
    return cameras_of(poses, focal_px, WIDTH, HEIGHT)
