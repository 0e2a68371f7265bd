"""Gaussians that hang before the cameras, where few photos see anything else."""

import torch
from jaxtyping import Float32
from torch import Tensor


@torch.no_grad()
def limit_widths(
    log_scales: Float32[Tensor, "n 3"],
    means: Float32[Tensor, "n 3"],
    centres: Float32[Tensor, "c 3"],
    widest: float,
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
    log_scales.clamp_(max=torch.log(widest * nearest + 1e-12)[:, None])
