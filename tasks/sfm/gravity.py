"""Which way is up, by cameras that were held level."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float64, Int64

MIN_CAMERAS = 3
LEVEL_RAD = np.radians(8.0)
"""Largest roll of a camera that was held level."""
LEVEL_SHARE = 0.75
"""Smallest share of the cameras that are level; of up to 5, all are: of 4 that were held anyhow, 3
agree on some direction in 3 of 10 scenes."""
ALL_LEVEL = 5
COMMON_ROLL_RAD = np.radians(2.0)
"""Roll that all photos may share, by the hand that took them; more photos do not reduce it."""
MAX_ERROR_RAD = np.radians(6.0)
MIN_COSINE = 0.35
"""Smallest median cosine between the photos' upward edge and up: cameras that look steeper than
about 70 degrees, or were turned sideways, do not tell up from the horizon."""
MOST_CANDIDATES = 2000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Up:
    """A direction and how far it may be off."""

    direction: Float64[np.ndarray, "3"]
    """Unit vector."""
    error_rad: float
    """Standard error."""
    level: Bool[np.ndarray, " n"]
    """Cameras that agree."""


def up_of_level_cameras(world_from_camera: Float64[np.ndarray, "n 3 3"]) -> Up | None:
    """The direction most nearly orthogonal to the x axes of the cameras, robustly.

    A photo that was held level has a horizontal x axis, however far it looks up or down. Photos
    that look different ways so fix the vertical; photos that all look one way leave the angle
    about their x axis free, and the result is None.

    Args:
        world_from_camera: orientations, OpenCV axes.

    Returns:
        None where no direction can be relied on: fewer than 3 cameras, or fewer than three
        quarters of them level; x axes in too few directions for the rolls that are left; cameras
        that look straight down or were turned sideways, whose y axes do not point down.
    """
    across, upward = world_from_camera[:, :, 0], -world_from_camera[:, :, 1]
    count = len(across)
    if count < MIN_CAMERAS:
        return None
    candidates = _candidates(across)
    if len(candidates) == 0:
        return None
    limit = np.sin(LEVEL_RAD)
    cost = np.minimum((candidates @ across.T / limit) ** 2, 1.0).sum(1)
    direction = candidates[int(np.argmin(cost))]
    level = np.abs(across @ direction) <= limit
    for _ in range(5):
        if level.sum() < MIN_CAMERAS:
            return None
        direction = np.linalg.eigh(across[level].T @ across[level])[1][:, 0]
        level = np.abs(across @ direction) <= limit
    if level.sum() < max(min(count, ALL_LEVEL), LEVEL_SHARE * count):
        return None
    chosen = across[level]
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(chosen.T @ chosen / len(chosen)), 0.0))
    cosine = float(np.median(upward[level] @ direction))
    roll = spread[0] * np.sqrt(len(chosen) / max(len(chosen) - 2, 1))
    uncertain = np.hypot(COMMON_ROLL_RAD, roll / np.sqrt(len(chosen)))
    error = float(uncertain / max(spread[1], 1e-9))
    if error > MAX_ERROR_RAD or abs(cosine) < MIN_COSINE:
        return None
    return Up(direction=np.sign(cosine) * direction, error_rad=error, level=level)


def _candidates(across: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "m 3"]:
    """Directions orthogonal to two x axes each."""
    pairs = _some_pairs(len(across))
    crossed = np.cross(across[pairs[:, 0]], across[pairs[:, 1]])
    length = np.linalg.norm(crossed, axis=1)
    kept = length > np.sin(np.radians(3.0))
    return np.asarray(crossed[kept] / length[kept, None])


def _some_pairs(count: int) -> Int64[np.ndarray, "m 2"]:
    if count * (count - 1) // 2 <= MOST_CANDIDATES:
        return np.array(list(combinations(range(count), 2)), dtype=np.int64)
    drawn = np.random.default_rng(0).integers(count, size=(MOST_CANDIDATES, 2))
    return drawn.astype(np.int64)
