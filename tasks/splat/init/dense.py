"""Coloured points from depth maps, a single layer on each surface."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8

from tasks.cameras import Cameras
from tasks.depth.config import DenseConfig
from tasks.depth.depth_maps import DepthMap
from tasks.depth.fusion_kernels import thin
from tasks.depth.reprojection import relative_maps
from tasks.images import from_uint8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DensePoints:
    """Points on surfaces, with distances between them equal to their scales."""

    points: Float64[np.ndarray, "m 3"]
    """World units."""
    colours: Float32[np.ndarray, "m 3"]
    """RGB in [0, 1], of the photo that a point comes from."""
    scales: Float32[np.ndarray, " m"]
    """Edge of the cell of the photo that each point stands for, on the surface, world units."""

    def __len__(self) -> int:
        return len(self.points)


def dense_points(
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    maps: Sequence[DepthMap],
    config: DenseConfig,
) -> DensePoints:
    """Turn every cell of the photos into a point, unless an earlier photo's point explains it.

    Cells are ``config.point_step`` pixels wide. Photos that show most surface come first.

    Args:
        cameras: of the photos, at their sizes.
        maps: their depths.

    Returns:
        At most ``config.max_points``; of more, evenly many of each photo are left, wider as they
        are fewer.
    """
    width, height = (int(extent) for extent in cameras.sizes.max(0))
    depths = np.zeros((len(maps), height, width), np.float32)
    for padded, found in zip(depths, maps, strict=True):
        padded[: found.depth.shape[0], : found.depth.shape[1]] = found.depth
    chosen = _cells(cameras, depths, config)
    total = sum(len(cells) for cells in chosen.values())
    share = min(1.0, config.max_points / max(total, 1))
    parts = [
        _points(cameras, index, photos[index], depths[index], cells[_evenly(len(cells), share)])
        for index, cells in chosen.items()
    ]
    edge = np.float32(config.point_step / np.sqrt(share)) if share > 0 else np.float32(0)
    points, colours, footprints = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return DensePoints(points=points, colours=colours, scales=edge * footprints)


def _cells(
    cameras: Cameras, depths: Float32[np.ndarray, "n H W"], config: DenseConfig
) -> dict[int, Int32[np.ndarray, "m 2"]]:
    """Columns and rows of the pixels that become points, by photo."""
    step = config.point_step
    rows, columns = (-(-extent // step) for extent in depths.shape[1:])
    explained = np.zeros((len(cameras), rows, columns), bool)
    order = np.argsort(-np.count_nonzero(depths, axis=(1, 2)), kind="stable")
    chosen: dict[int, Int32[np.ndarray, "m 2"]] = {}
    for index in order.tolist():
        others = [j for j in range(len(cameras)) if j != index]
        kept = np.empty((rows * columns, 2), np.int32)
        count = thin(
            index,
            step,
            np.array(others, np.int32),
            *relative_maps(cameras.select([index]), cameras.select(others)),
            depths,
            cameras.sizes.astype(np.int32),
            np.float32(2 * config.tolerance),
            explained,
            kept,
        )
        chosen[index] = kept[:count].copy()
    return chosen


def _evenly(count: int, share: float) -> np.ndarray:
    return (np.arange(int(count * share)) / share).astype(np.int64) if share > 0 else np.arange(0)


def _points(
    cameras: Cameras,
    index: int,
    photo: UInt8[np.ndarray, "h w 3"],
    depth: Float32[np.ndarray, "H W"],
    cells: Int32[np.ndarray, "m 2"],
) -> tuple[Float64[np.ndarray, "m 3"], Float32[np.ndarray, "m 3"], Float32[np.ndarray, " m"]]:
    """World points, colours and the edges of a pixel at their depths."""
    column, row = cells.T
    z = depth[row, column].astype(np.float64)
    lens, pose = cameras.intrinsics[index], cameras.world_from_camera[index]
    pixels = np.stack([column + 0.5, row + 0.5, np.ones(len(cells))], axis=1)
    in_camera = z[:, None] * (pixels @ np.linalg.inv(lens).T)
    points = in_camera @ pose[:3, :3].T + pose[:3, 3]
    return points, from_uint8(photo[row, column]), (z / lens[0, 0]).astype(np.float32)
