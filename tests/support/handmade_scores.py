"""Cameras made by hand."""

import numpy as np

from tasks.cameras import Cameras


def cameras_at(
    centres: np.ndarray, turns: np.ndarray, names: tuple[str, ...] | None = None
) -> Cameras:
    """Cameras at ``centres`` [n 3] with world-from-camera rotations ``turns`` [n 3 3]."""
    camera_from_world = np.tile(np.eye(4), (len(centres), 1, 1))
    for pose, centre, turn in zip(camera_from_world, centres, turns, strict=True):
        pose[:3, :3], pose[:3, 3] = turn.T, -turn.T @ centre
    return Cameras(
        names=names or tuple(f"{i}.jpg" for i in range(len(centres))),
        camera_from_world=camera_from_world,
        intrinsics=np.tile(np.eye(3), (len(centres), 1, 1)),
        sizes=np.full((len(centres), 2), 100, dtype=np.int64),
    )
