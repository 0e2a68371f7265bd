"""What a diffusion model drew, taken where the render cannot be believed."""

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.refiner import Refinement, ViewBatch


def blended(views: ViewBatch, drawn: Float32[Tensor, "b 3 h w"]) -> Refinement:
    """The render, and so much of what was drawn as its confidence leaves.

    Better, and worse on fewer views, than what was drawn alone. What was kept of the render weighs
    nothing as a target: it would hold a splat where it is.
    """
    share = 1 - views.confidence
    image = torch.lerp(views.render, drawn.permute(0, 2, 3, 1), share[..., None])
    return Refinement(image=image.clamp(0, 1), weight=share)
