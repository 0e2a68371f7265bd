"""Blending of a diffusion model's images into the render by its confidence."""

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.refiner import Refinement, ViewBatch


def blended(views: ViewBatch, drawn: Float32[Tensor, "b 3 h w"]) -> Refinement:
    """The render, weighted by its confidence, and the drawn image, weighted by the rest.

    Better on average than the drawn image alone, and worse than the render on fewer views. Pixels
    of the render have no weight as a target: they would hold a splat where it is.
    """
    share = 1 - views.confidence
    image = torch.lerp(views.render, drawn.permute(0, 2, 3, 1), share[..., None])
    return Refinement(image=image.clamp(0, 1), weight=share)
