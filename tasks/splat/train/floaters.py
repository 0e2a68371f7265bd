"""Gaussians that hang before the cameras, where few photos see anything else."""

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians

FIRST_POINTS = 2.0
"""Percentage of a photo's points, the nearest, before which its scene is said to begin."""


@torch.no_grad()
def limit_widths(
    log_scales: Float32[Tensor, "n 3"],
    means: Float32[Tensor, "n 3"],
    centres: Float32[Tensor, "c 3"],
    max_relative_scale: float,
) -> None:
    """Narrow Gaussians, in place, that are wide for how near they are to a camera.

    One that stands before a single photo, in the colour of a white wall behind it, costs nothing
    there and veils the view from anywhere beside it. What is as wide as it is near can only be such
    a one; what is far may be as wide as the sky.

    Args:
        log_scales: logarithms of standard deviations, world units; changed.
        means: world units.
        centres: of the cameras, world units.
        widest: standard deviation, in distances to the nearest of the centres.
    """
    nearest = torch.full((len(means),), torch.inf, device=means.device)
    for centre in centres:
        torch.minimum(nearest, (means - centre).norm(dim=1), out=nearest)
    log_scales.clamp_(max=torch.log(max_relative_scale * nearest + 1e-12)[:, None])


def scene_near_depths(
    cameras: Cameras, points: Float64[np.ndarray, "m 3"]
) -> Float64[np.ndarray, " c"]:
    """Depth at which the scene begins before each camera, world units.

    Args:
        points: of the scene, world units; those in a camera's frame are asked, and 0 is said of a
            camera that has none.
    """
    near_depths = np.zeros(len(cameras))
    for index in range(len(cameras)):
        depths, shown = cameras.in_frame(index, points)
        if shown.any():
            near_depths[index] = np.percentile(depths[shown], FIRST_POINTS)
    return near_depths


@torch.no_grad()
def cleared(
    gaussians: Gaussians,
    cameras: Cameras,
    near_depths: Float64[np.ndarray, " c"] | None,
    clearance: float | None,
) -> Gaussians:
    """Without those that no camera shows and that are nearer to one than its scene begins.

    Nothing holds such a Gaussian: it was pushed out of every frame, and hangs as fog before whoever
    steps aside. One that is shown is held by a photo, and what is unseen and as far as the scene
    may be a part of it, as a floor that only reaches into the frames.

    Args:
        cameras: of the photos that were fitted to.
        begins: of :func:`scene_begins`, of those cameras; None drops nothing.
        clearance: share of that depth, of the nearest camera, which is cleared; None drops nothing.
    """
    if near_depths is None or clearance is None:
        return gaussians
    means = gaussians.means.double().numpy()
    nearest, limit = np.full(len(means), np.inf), np.zeros(len(means))
    for centre, begin in zip(cameras.centres, near_depths, strict=True):
        distance = np.linalg.norm(means - centre, axis=1)
        closer = distance < nearest
        nearest[closer], limit[closer] = distance[closer], clearance * begin
    dropped = nearest < limit
    dropped[: gaussians.num_background] = False
    for index in range(len(cameras)):
        candidates = dropped.nonzero()[0]
        _, shown = cameras.in_frame(index, means[candidates])
        dropped[candidates[shown]] = False
    return gaussians.kept(torch.from_numpy(~dropped))
