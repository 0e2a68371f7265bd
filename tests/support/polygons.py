"""Drawings full of corners, photographed without error: positions in them are known exactly."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLED = 4
Warp = Callable[[np.ndarray], np.ndarray]
"""Positions [n 2] of the drawing to positions of its photo, px; the corner of the upper left pixel
is (0, 0)."""


def photo(
    width: int, height: int, *, seed: int = 0, count: int = 120, warp: Warp = lambda xy: xy
) -> np.ndarray:
    """A photo of a drawing of ``count`` quadrangles, RGB bytes [h w 3].

    The drawing covers 0 to ``width`` and 0 to ``height``, and depends on the seed alone beside.
    """
    rng = np.random.default_rng(seed)
    size = (SUPERSAMPLED * width, SUPERSAMPLED * height)
    canvas = Image.new("RGB", size, (120, 120, 120))
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        centre = rng.uniform((0, 0), (width, height))
        turn, radius = rng.uniform(0, np.pi), rng.uniform(0.02, 0.12) * max(width, height)
        angles = turn + np.array([0.0, 1.2, np.pi, np.pi + 1.2])
        corners = warp(centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        draw.polygon([(float(x), float(y)) for x, y in SUPERSAMPLED * corners], fill=colour)
    return np.asarray(canvas.resize((width, height), Image.Resampling.BOX)).copy()
