"""Photos with depth against each other, by the pinhole model written out."""

import numpy as np
from jaxtyping import Float32, Float64

from tasks.cameras import Cameras


def lifted(
    cameras: Cameras, i: int, depth: Float32[np.ndarray, "h w"]
) -> Float64[np.ndarray, "n 3"]:
    """World points of the pixels that have depth."""
    rows, columns = np.nonzero(depth)
    z = depth[rows, columns].astype(np.float64)
    k = cameras.intrinsics[i]
    x = (columns + 0.5 - k[0, 2]) / k[0, 0] * z
    y = (rows + 0.5 - k[1, 2]) / k[1, 1] * z
    pose = cameras.camera_from_world[i]
    return (np.stack([x, y, z], 1) - pose[:3, 3]) @ pose[:3, :3]


def projected(
    cameras: Cameras, j: int, world: Float64[np.ndarray, "n 3"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Image x and y in pixels, and depth."""
    pose, k = cameras.camera_from_world[j], cameras.intrinsics[j]
    p = world @ pose[:3, :3].T + pose[:3, 3]
    return p[:, 0] / p[:, 2] * k[0, 0] + k[0, 2], p[:, 1] / p[:, 2] * k[1, 1] + k[1, 2], p[:, 2]


def share_seen_again(
    cameras: Cameras,
    i: int,
    j: int,
    depth_i: Float32[np.ndarray, "h w"],
    depth_j: Float32[np.ndarray, "h w"],
) -> float:
    """Share of photo i's surface points that photo j sees too, to 3 % of their depth."""
    world = lifted(cameras, i, depth_i)
    x, y, z = projected(cameras, j, world)
    height, width = depth_j.shape
    inside = (z > 0) & (x > 0) & (x < width) & (y > 0) & (y < height)
    there = depth_j[y[inside].astype(int), x[inside].astype(int)]
    return float((np.abs(there - z[inside]) < 0.03 * z[inside]).sum() / len(world))
