"""Cameras made by hand."""

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras

WIDTH, HEIGHT, FOCAL = 60, 40, 50.0


def cameras_at(
    centres: np.ndarray, turns: Rotation | None = None, *, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Cameras:
    """Cameras at ``centres`` [n 3] with world-from-camera rotations ``turns``, or none."""
    count = len(centres)
    matrices = np.tile(np.eye(3), (count, 1, 1)) if turns is None else turns.as_matrix()
    camera_from_world = np.tile(np.eye(4), (count, 1, 1))
    for pose, centre, turn in zip(camera_from_world, np.asarray(centres), matrices, strict=True):
        pose[:3, :3], pose[:3, 3] = turn.T, -turn.T @ centre
    lens = np.array([[FOCAL, 0, size[0] / 2], [0, FOCAL, size[1] / 2], [0, 0, 1.0]])
    return Cameras(
        names=tuple(f"{index}.jpg" for index in range(count)),
        camera_from_world=camera_from_world,
        intrinsics=np.tile(lens, (count, 1, 1)),
        sizes=np.tile(np.array([size], dtype=np.int64), (count, 1)),
    )


def about(axis: str, *angles_deg: float) -> Rotation:
    """Rotations about one of the axes x, y and z."""
    return Rotation.from_rotvec(np.deg2rad(angles_deg)[:, None] * np.eye(3)["xyz".index(axis)])


def on_a_line(count: int, spacing: float = 1.0, turn_rad: float = 0.0) -> Cameras:
    """Along x, looking along z, each turned by ``turn_rad`` about y against the one before."""
    centres = spacing * np.arange(count)[:, None] * np.array([1.0, 0, 0])
    turns = Rotation.from_rotvec(turn_rad * np.arange(count)[:, None] * np.array([0, 1.0, 0]))
    return cameras_at(centres, turns)


def on_a_ring(count: int, radius: float = 2.0, height: float = 0.0) -> Cameras:
    """Around the y axis (y points down), upright, looking at the axis at ``height`` 0."""
    angles = 2 * np.pi * np.arange(count) / count
    centres = np.stack(
        [radius * np.cos(angles), np.full(count, -height), radius * np.sin(angles)], axis=1
    )
    forward = -centres / np.linalg.norm(centres, axis=1, keepdims=True)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(forward, right)
    return cameras_at(centres, Rotation.from_matrix(np.stack([right, down, forward], axis=-1)))


def forwards(cameras: Cameras) -> np.ndarray:
    """Directions in which they look, [n 3]."""
    return cameras.camera_from_world[:, 2, :3]
