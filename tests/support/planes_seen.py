"""A textured plane, the photos of it, and exact sparse points on it."""

import numpy as np

from tasks.cameras import Cameras
from tasks.depth.config import DenseConfig
from tasks.depth.neighbours import SparsePoints
from tests.support.textured_planes import Plane, cameras_at, depth_of, photograph

CENTRES = [(-0.5, 0.0, 0.0), (0.0, 0.1, 0.0), (0.5, 0.0, 0.1), (0.0, -0.4, 0.0), (0.1, 0.5, -0.1)]
CAMERAS = cameras_at(CENTRES)
CONFIG = DenseConfig(coarse_size=48)


def photographs(plane: Plane, cameras: Cameras) -> list[np.ndarray]:
    """RGB, 255 for 1."""
    return [
        np.rint(255 * photograph(plane, cameras, index)).astype(np.uint8)
        for index in range(len(cameras))
    ]


def sparse_on(plane: Plane, cameras: Cameras, spacing: int = 12) -> SparsePoints:
    """What lies at every ``spacing``-th pixel of each photo, with all photos that show it."""
    points = np.concatenate(
        [
            world_points(cameras, index, depth_of(plane, cameras, index))[::spacing, ::spacing]
            .reshape(-1, 3)
            .astype(np.float64)
            for index in range(len(cameras))
        ]
    )
    shown = [seen(cameras, index, points) for index in range(len(cameras))]
    photo_index, point_index = np.nonzero(np.stack(shown))
    return SparsePoints(
        points=points,
        point_index=point_index.astype(np.int32),
        photo_index=photo_index.astype(np.int32),
    )


def world_points(cameras: Cameras, index: int, depth: np.ndarray) -> np.ndarray:
    """Of every pixel, [h w 3]."""
    height, width = depth.shape
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns, rows, np.ones_like(columns)], axis=-1)
    in_camera = depth[..., None] * (pixels @ np.linalg.inv(cameras.intrinsics[index]).T)
    pose = cameras.world_from_camera[index]
    return in_camera @ pose[:3, :3].T + pose[:3, 3]


def seen(cameras: Cameras, index: int, points: np.ndarray) -> np.ndarray:
    """Which of the points [p 3] lie before a camera and inside its photo."""
    pose = cameras.camera_from_world[index]
    in_camera = points @ pose[:3, :3].T + pose[:3, 3]
    pixels = in_camera @ cameras.intrinsics[index].T
    xy = pixels[:, :2] / pixels[:, 2:]
    return (in_camera[:, 2] > 0) & ((xy >= 0) & (xy < cameras.sizes[index])).all(1)
