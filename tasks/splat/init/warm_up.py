"""Compilation of the kernels of dense initialisation at set-up, so that no scene waits for it."""

import numpy as np

from tasks.cameras import Cameras
from tasks.depth.config import DenseConfig
from tasks.depth.depth_maps import depth_maps
from tasks.depth.neighbours import SparsePoints
from tasks.splat.init.dense import dense_points

_SIZE = 48  # pixels


def cameras_in_a_row(spacing: float, size: int) -> Cameras:
    """Three cameras that face along z, ``spacing`` world units apart, of ``size`` x ``size`` px."""
    camera_from_world = np.tile(np.eye(4), (3, 1, 1))
    camera_from_world[:, 0, 3] = [-spacing, 0.0, spacing]
    intrinsics = np.array([[size, 0.0, size / 2], [0.0, size, size / 2], [0.0, 0.0, 1.0]])
    return Cameras(
        names=("a", "b", "c"),
        camera_from_world=camera_from_world,
        intrinsics=np.tile(intrinsics, (3, 1, 1)),
        sizes=np.full((3, 2), size, dtype=np.int64),
    )


def warm_up() -> None:
    """Initialise from three small photos: compiles the kernels, or loads them from the cache."""
    cameras = cameras_in_a_row(0.3, _SIZE)
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 5), np.linspace(-0.5, 0.5, 5))
    points = np.stack([x.ravel(), y.ravel(), np.linspace(1.8, 2.2, x.size)], axis=1)
    sparse = SparsePoints(
        points=points,
        point_index=np.tile(np.arange(len(points), dtype=np.int32), 3),
        photo_index=np.repeat(np.arange(3, dtype=np.int32), len(points)),
    )
    photos = [np.full((_SIZE, _SIZE, 3), 128, dtype=np.uint8)] * 3
    config = DenseConfig(coarse_size=_SIZE // 2 + 8)
    dense_points(cameras, photos, depth_maps(cameras, photos, sparse, config), config)
