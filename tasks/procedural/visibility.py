"""Visibility of solids from cameras, by single rays: cheap tests before rendering."""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float64

from tasks.cameras import Cameras
from tasks.procedural.trace import Shape, Solids, first_hit
from tasks.runtime.jit import compiled


@compiled()
@no_type_check
def _cast(solids, origins, directions, reach):
    for k in range(origins.shape[0]):
        x, y, z = origins[k, 0], origins[k, 1], origins[k, 2]
        dx, dy, dz = directions[k, 0], directions[k, 1], directions[k, 2]
        reach[k], _, _ = first_hit(solids, x, y, z, dx, dy, dz, np.inf, False)


def cast(
    solids: Solids, origins: Float64[np.ndarray, "n 3"], directions: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, " n"]:
    """Distance along each ray to the first surface, in lengths of its direction; inf on a miss.

    Args:
        origins: world frame, metres.
        directions: of any length.
    """
    reach = np.empty(len(origins))
    _cast(solids, np.ascontiguousarray(origins), np.ascontiguousarray(directions), reach)
    return reach


def sampled_depth(
    solids: Solids, cameras: Cameras, index: int, *, columns: int, rows: int
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n 3"]]:
    """Depth along the optical axis at the centres of a grid of blocks, and the rays through them.

    Returns:
        Metres (inf for the sky), and directions in the world frame with ``z = 1`` in the camera,
        so that a point is ``centre + depth * direction``.
    """
    width, height = cameras.size(index)
    x, y = np.meshgrid(
        (np.arange(columns) + 0.5) / columns * width, (np.arange(rows) + 0.5) / rows * height
    )
    k = cameras.intrinsics[index]
    rays = np.stack([(x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], np.ones_like(x)], -1)
    directions = rays.reshape(-1, 3) @ cameras.camera_from_world[index, :3, :3]
    origins = np.broadcast_to(cameras.centres[index], directions.shape)
    return cast(solids, origins, directions), directions


def seen_from(
    solids: Solids, cameras: Cameras, index: int, points: Float64[np.ndarray, "n 3"]
) -> Bool[np.ndarray, " n"]:
    """Mask of the surface points that lie in a camera's image and are not occluded."""
    centre, (width, height) = cameras.centres[index], cameras.size(index)
    local = points @ cameras.camera_from_world[index, :3, :3].T
    local += cameras.camera_from_world[index, :3, 3]
    z = np.where(local[:, 2] > 0.0, local[:, 2], np.inf)
    u, v = ((local / z[:, None]) @ cameras.intrinsics[index].T)[:, :2].T
    inside = np.isfinite(z) & (u > 0.0) & (u < width) & (v > 0.0) & (v < height)
    inside[inside] = (
        cast(solids, np.broadcast_to(centre, points.shape)[inside], (points - centre)[inside])
        > 1.0 - 1e-3
    )
    return inside


def clearance(
    solids: Solids, points: Float64[np.ndarray, "n 3"], reach_m: float
) -> Bool[np.ndarray, " n"]:
    """Mask of the points outside every solid and at least ``reach_m`` from any surface.

    A solid is enlarged by ``reach_m`` along its own axes, which overestimates it at corners.
    """
    unit = np.einsum("nij,pj->npi", solids.unit_from_world[:, :, :3], points)
    unit += solids.unit_from_world[:, None, :, 3]
    unit /= (1.0 + reach_m / solids.half_size)[:, None, :]
    across = np.where(
        (solids.shape == Shape.BOX)[:, None],
        np.abs(unit[..., :2]).max(-1),
        np.hypot(unit[..., 0], unit[..., 1]),
    )
    up = np.abs(unit[..., 2])
    ball = (solids.shape == Shape.BALL)[:, None]
    measure = np.where(ball, np.hypot(across, up), np.maximum(across, up))
    return np.asarray((measure > 1.0).all(0))
