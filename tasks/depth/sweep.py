"""Parts of a plane sweep that both implementations share: its steps, sizes and result."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from tasks.depth.config import SweepConfig

REFINEMENTS = 2
"""Steps to either side of the best one that are tried again at full size."""
COARSE_MEDIAN_RADIUS = 1
MEDIAN_RADIUS = 2
UNKNOWN_COST = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Swept:
    """The depth at which photos agree in a novel view, and the photos warped by it."""

    depth: Float32[np.ndarray, "h w"]
    """Along the optical axis, world units."""
    cost: Float32[np.ndarray, "h w"]
    """Mean absolute difference of the photos from their mean about the pixel, images in [0, 1];
    1 where fewer than two photos see it."""
    warped: Float32[np.ndarray, "k h w 3"]
    """The photos, best first, in [0, 1]; 0 where not valid."""
    valid: Float32[np.ndarray, "k h w"]
    """1 where the pixel lies before the photo's camera and on its usable pixels, else 0."""


def coarse_steps(config: SweepConfig) -> Float32[np.ndarray, " planes"]:
    """Relative distances from the rendered depth, nearest first: of equals the first is kept."""
    steps = np.linspace(-config.reach, config.reach, config.planes)
    return steps[np.argsort(np.abs(steps), kind="stable")].astype(np.float32)


def fine_steps(config: SweepConfig) -> Float32[np.ndarray, " planes"]:
    step = 2 * config.reach / (config.planes - 1)
    steps = step * np.arange(-REFINEMENTS, REFINEMENTS + 1)
    return steps[np.argsort(np.abs(steps), kind="stable")].astype(np.float32)


def halved(image: Float32[np.ndarray, "h w *c"]) -> Float32[np.ndarray, "H W *c"]:
    """Mean over 2x2 pixels; an odd last row or column counts with itself."""
    image = np.concatenate([image, image[-1:]], 0) if image.shape[0] % 2 else image
    image = np.concatenate([image, image[:, -1:]], 1) if image.shape[1] % 2 else image
    rows = image[::2] + image[1::2]
    return np.float32(0.25) * (rows[:, ::2] + rows[:, 1::2])


def doubled(
    image: Float32[np.ndarray, "H W"], height: int, width: int
) -> Float32[np.ndarray, "h w"]:
    """Each pixel repeated 2x2."""
    return image.repeat(2, axis=0).repeat(2, axis=1)[:height, :width].copy()
