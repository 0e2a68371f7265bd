"""A random place, and its light."""

import math
from dataclasses import dataclass

import numpy as np

from tasks.cameras import Cameras
from tasks.procedural.build import unit
from tasks.procedural.draws.chance import Draws
from tasks.procedural.light import Light
from tasks.procedural.trace import Solid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """Solids, light (without exposure) and cameras."""

    solids: list[Solid]
    light: Light
    texel_m: float
    """Edge length of a texel of the indirect light."""
    bounces: int
    cameras: Cameras
    clearance_m: float
    """Minimum distance of a camera from any surface."""


def daylight(draws: Draws, *, front: bool) -> Light:
    """Sun and clouds, or an overcast sky; ``exposure`` is 1.

    Args:
        front: whether the sun is on the side of -y, behind the photographer.
    """
    height = math.radians(draws.uniform(22.0, 68.0))
    turn = draws.uniform(-80.0, 80.0) if front else draws.uniform(-180.0, 180.0)
    azimuth = math.radians(turn - 90.0)
    c = math.cos(height)
    warm = (1.0 - math.sin(height)) * draws.uniform(0.3, 0.7)
    grey = np.array([0.72, 0.78, 0.86])
    overcast = draws.chance(0.3)
    strength = draws.uniform(0.0, 0.25) if overcast else draws.uniform(1.2, 2.0)
    blue = np.array([0.28, 0.45, 0.78])
    return Light(
        to_sun=unit(c * math.cos(azimuth), c * math.sin(azimuth), math.sin(height)),
        sun=strength * np.array([1.06, 1.0 - 0.25 * warm, 0.92 - 0.7 * warm]),
        sun_radius_rad=0.04 if overcast else 0.005,
        zenith=grey if overcast else blue * draws.uniform(0.8, 1.3),
        horizon=grey * draws.uniform(0.9, 1.2),
        clouds=draws.uniform(0.4, 1.0),
        exposure=1.0,
    )


def window_light(draws: Draws) -> Light:
    """Light for rooms: a bright sky, mostly with a sun, through the openings."""
    height = math.radians(draws.uniform(25.0, 60.0))
    azimuth = math.radians(draws.uniform(20.0, 160.0))  # through the wall at +y
    c = math.cos(height)
    sun = draws.uniform(1.0, 2.5) if draws.chance(0.6) else 0.0
    tint = draws.uniform(0.85, 1.1)
    return Light(
        to_sun=unit(c * math.cos(azimuth), c * math.sin(azimuth), math.sin(height)),
        sun=sun * np.array([1.05, 0.95, 0.8]),
        sun_radius_rad=0.005,
        zenith=np.array([7.2 / tint, 7.4, 7.6 * tint]),
        horizon=np.array([2.2, 2.4, 2.6]),
        clouds=0.8,
        exposure=1.0,
    )
