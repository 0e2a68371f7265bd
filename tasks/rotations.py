"""Rotation matrices."""

import numpy as np
from jaxtyping import Float


def rotation_angles(
    one: Float[np.ndarray, "*b 3 3"], other: Float[np.ndarray, "*c 3 3"]
) -> Float[np.ndarray, "..."]:
    """Angles of the rotations from one orientation to another, 0 to pi."""
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
