"""How far cameras are from each other."""

import numpy as np
from jaxtyping import Float, Float64

from tasks.cameras import Cameras


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


def rotation_angles(
    one: Float[np.ndarray, "*b 3 3"], other: Float[np.ndarray, "*c 3 3"]
) -> Float[np.ndarray, "..."]:
    """Angles of the rotations from one orientation to another, radians."""
    # By both, since the cosine alone loses small angles and the sine large ones.
    relative = one @ np.swapaxes(other, -1, -2)
    cosine = (np.trace(relative, axis1=-2, axis2=-1) - 1) / 2
    axis = np.stack(
        [
            relative[..., 2, 1] - relative[..., 1, 2],
            relative[..., 0, 2] - relative[..., 2, 0],
            relative[..., 1, 0] - relative[..., 0, 1],
        ],
        axis=-1,
    )
    return np.asarray(np.arctan2(np.linalg.norm(axis, axis=-1) / 2, cosine))
