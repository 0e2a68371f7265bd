"""Cameras about the origin, and the projection written out."""

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras


def ring_of_cameras(count: int, seed: int = 0) -> Cameras:
    """About the origin at a distance near 5, each with its own K, all looking at the origin."""
    rng = np.random.default_rng(seed)
    camera_from_world = np.tile(np.eye(4), (count, 1, 1))
    intrinsics = np.tile(np.eye(3), (count, 1, 1))
    for index in range(count):
        turn = Rotation.from_euler("yx", [0.3 * index, 0.1 * rng.standard_normal()])
        camera_from_world[index, :3, :3] = turn.as_matrix()
        camera_from_world[index, :3, 3] = [0, 0, 5 + rng.uniform(-0.5, 0.5)]
        intrinsics[index, [0, 1], [0, 1]] = rng.uniform(400, 900, 2)
        intrinsics[index, [0, 1], [2, 2]] = rng.uniform(200, 400, 2)
    return Cameras(
        names=tuple(f"{i}.jpg" for i in range(count)),
        camera_from_world=camera_from_world,
        intrinsics=intrinsics,
        sizes=np.full((count, 2), 600, dtype=np.int64),
    )


def project(cameras: Cameras, photo: int, point: np.ndarray) -> np.ndarray:
    x, y, w = (
        cameras.intrinsics[photo] @ (cameras.camera_from_world[photo] @ np.append(point, 1))[:3]
    )
    return np.array([x / w, y / w])
