"""Cameras around a textured surface whose depth and colours are formulas."""

from dataclasses import dataclass

import numpy as np

from tasks.cameras import Cameras

WIDTH, HEIGHT, FOCAL = 96, 72, 90.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """The points with ``normal . x = offset``, world frame."""

    normal: np.ndarray
    offset: float


FACING = Plane(normal=np.array([0.0, 0.0, 1.0]), offset=3.0)
SLANTED = Plane(normal=np.array([0.4, -0.2, 1.0]), offset=3.0)


def cameras_at(centres: list[tuple[float, float, float]]) -> Cameras:
    """Looking along z."""
    poses = np.tile(np.eye(4), (len(centres), 1, 1))
    poses[:, :3, 3] = -np.array(centres)
    lens = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1.0]])
    return Cameras(
        names=tuple(f"{index}.png" for index in range(len(centres))),
        camera_from_world=poses,
        intrinsics=np.tile(lens, (len(centres), 1, 1)),
        sizes=np.tile(np.array([[WIDTH, HEIGHT]], dtype=np.int64), (len(centres), 1)),
    )


VIEW = cameras_at([(0.05, 0.02, 0.0)])
SOURCES = cameras_at([(-0.3, 0.0, 0.0), (0.35, 0.1, -0.1), (0.0, -0.3, 0.1)])


def depth_of(plane: Plane, cameras: Cameras, index: int) -> np.ndarray:
    """Along the optical axis, [h w]."""
    rays, centre = _rays(cameras, index)
    along = (plane.offset - plane.normal @ centre) / (rays @ plane.normal)
    return along.astype(np.float32)


def photograph(plane: Plane, cameras: Cameras, index: int) -> np.ndarray:
    """RGB in [0, 1], [h w 3]: whole levels, as photos have them."""
    rays, centre = _rays(cameras, index)
    x, y, _ = np.moveaxis(centre + rays * depth_of(plane, cameras, index)[..., None], -1, 0)
    waves = [
        np.sin(17 * x + 3 * np.sin(5 * y)) * np.cos(13 * y),
        np.sin(11 * y - 7 * x + 2 * np.sin(9 * x)),
        np.cos(19 * x * np.cos(0.3) + 15 * y * np.sin(2.0) + np.sin(6 * x)),
    ]
    levels = np.rint(255 * (0.5 + 0.4 * np.stack(waves, axis=-1)))
    return (levels / 255).astype(np.float32)


def _rays(cameras: Cameras, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Points at depth 1 from the centre, world axes [h w 3], and the centre."""
    width, height = cameras.sizes[index]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns, rows, np.ones_like(columns)], axis=-1)
    in_camera = pixels @ np.linalg.inv(cameras.intrinsics[index]).T
    world_from_camera = cameras.world_from_camera[index]
    return in_camera @ world_from_camera[:3, :3].T, world_from_camera[:3, 3]
