"""Distances between cameras."""

import numpy as np
from jaxtyping import Float64

from tasks.cameras import Cameras, rotation_angles


def neighbour_spacing(cameras: Cameras) -> float:
    """Median distance from a camera to its nearest, world units; 1 where all are in one place.

    Needs two cameras.
    """
    apart = np.linalg.norm(cameras.centres[:, None] - cameras.centres[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(1))) or 1.0


def pose_distances(one: Cameras, other: Cameras, *, spacing: float) -> Float64[np.ndarray, "n m"]:
    """Translation in units of ``spacing`` plus the angle between the orientations in radians."""
    apart = np.linalg.norm(one.centres[:, None] - other.centres[None], axis=-1)
    return apart / spacing + rotation_angles(
        one.camera_from_world[:, None, :3, :3], other.camera_from_world[None, :, :3, :3]
    )
