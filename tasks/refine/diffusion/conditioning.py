"""Conditioning images of a view for third-party ControlNets."""

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.diffusion.config import Sees
from tasks.refine.refiner import ViewBatch

NEAR, FAR = 0.98, 0.02
"""Quantiles of nearness that are white and black: a few floaters must not grey all the rest."""


def pictures(views: ViewBatch, sees: Sequence[Sees]) -> list[Float32[Tensor, "b 3 h w"]]:
    """A conditioning image for each of ``sees``, in [0, 1].

    Photos are warped by the swept depth, with the render where they do not show a pixel; the best
    comes first, and again after the last. Depth is inverse, with near in white, as depth estimators
    give it.
    """
    photos = torch.lerp(
        views.render[:, None].expand_as(views.swept), views.swept, views.swept_valid[..., None]
    )
    seen = 0
    found = []
    for what in sees:
        if what == "render":
            picture = views.render
        elif what == "depth":
            picture = _nearness(views.depth)[..., None].expand(-1, -1, -1, 3)
        else:
            picture = photos[:, seen % photos.shape[1]]
            seen += 1
        found.append(picture.permute(0, 3, 1, 2))
    return found


def _nearness(depth: Float32[Tensor, "b h w"]) -> Float32[Tensor, "b h w"]:
    inverse = 1 / depth
    every_few = inverse.flatten(1)[:, :: max(1, inverse[0].numel() // 100_000)]
    far, near = (torch.quantile(every_few, share, dim=1)[:, None, None] for share in (FAR, NEAR))
    return ((inverse - far) / (near - far).clamp_min(1e-9)).clamp(0, 1)
