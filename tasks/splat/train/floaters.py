"""Floaters: Gaussians close to the cameras, where few photos constrain anything."""

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians

NEAR_PERCENTILE = 2.0
"""Percentile of the depths of a photo's points that is its near depth."""


@torch.no_grad()
def limit_widths(
    log_scales: Float32[Tensor, "n 3"],
    means: Float32[Tensor, "n 3"],
    centres: Float32[Tensor, "c 3"],
    max_relative_scale: float,
) -> None:
    """Narrow Gaussians, in place, that are wide for their distance to the nearest camera.

    A Gaussian before a single photo, in the colour of a white wall behind it, costs nothing there
    and veils the view from anywhere beside it. A Gaussian as wide as it is near can only be such a
    floater; a far one may be as wide as the sky.

    Args:
        log_scales: logarithms of standard deviations, world units; changed.
        means: world units.
        centres: of the cameras, world units.
        max_relative_scale: largest standard deviation, in distances to the nearest of the centres.
    """
    nearest = torch.full((len(means),), torch.inf, device=means.device)
    for centre in centres:
        torch.minimum(nearest, (means - centre).norm(dim=1), out=nearest)
    log_scales.clamp_(max=torch.log(max_relative_scale * nearest + 1e-12)[:, None])


def camera_near_depths(
    cameras: Cameras, points: Float64[np.ndarray, "m 3"]
) -> Float64[np.ndarray, " c"]:
    """Near depth of the scene in each camera, world units; 0 for a camera that shows no points.

    Args:
        points: of the scene, world units.
    """
    near_depths = np.zeros(len(cameras))
    for index in range(len(cameras)):
        depths, shown = cameras.in_frame(index, points)
        if shown.any():
            near_depths[index] = np.percentile(depths[shown], NEAR_PERCENTILE)
    return near_depths


@torch.no_grad()
def cleared(
    gaussians: Gaussians,
    cameras: Cameras,
    near_depths: Float64[np.ndarray, " c"] | None,
    clearance: float | None,
) -> Gaussians:
    """Drop the Gaussians that no camera shows and that are nearer to one than its scene.

    Nothing constrains such a Gaussian: it was pushed out of every frame, and floats as fog before
    any camera that moves aside. Gaussians in a frame are constrained by its photo, and those as far
    as the scene may belong to it, such as a floor that only reaches into the frames.

    Args:
        cameras: of the photos that were fitted to.
        near_depths: of :func:`camera_near_depths`, of those cameras; None drops nothing.
        clearance: share of the nearest camera's near depth that is cleared; None drops nothing.
    """
    if near_depths is None or clearance is None:
        return gaussians
    means = gaussians.means.double().numpy()
    nearest, limit = np.full(len(means), np.inf), np.zeros(len(means))
    for centre, near_depth in zip(cameras.centres, near_depths, strict=True):
        distance = np.linalg.norm(means - centre, axis=1)
        closer = distance < nearest
        nearest[closer], limit[closer] = distance[closer], clearance * near_depth
    dropped = nearest < limit
    dropped[: gaussians.num_background] = False
    for index in range(len(cameras)):
        candidates = dropped.nonzero()[0]
        _, shown = cameras.in_frame(index, means[candidates])
        dropped[candidates[shown]] = False
    return gaussians.kept(torch.from_numpy(~dropped))
