"""The gate: blend weights of refined views, by how much better than the render they fit the photos.

Where at least two photos show a pixel and agree about it, they are evidence, though the refiner had
it too: a picture that disagrees with them more than the render does was made up.
"""

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.config import GateConfig, Reproject
from tasks.refine.cpu.arrays import run
from tasks.refine.cpu.kernels import differ
from tasks.refine.photos.align import align_photos
from tasks.refine.refiner import AlignedPhotos, Refinement, Refiner, ViewBatch

DETAIL_SCALE = Reproject().detail_scale
"""Scale of the photos' agreement, by which they are aligned with the colours of the render."""
LEAST_DISAGREEMENT = 1e-9
LEAST_RAMP = 1e-6
"""Smallest range from weight 0 to weight 1; where both limits are equal, it is a step."""


def disagreement(
    images: Float32[Tensor, "b h w 3"], photos: AlignedPhotos
) -> Float32[Tensor, " b"]:
    """Mean absolute difference of images from the photos, where those show a pixel and agree.

    0 where they agree nowhere.
    """
    weight = photos.trust
    if images.is_cpu:
        sums = torch.empty(weight.shape[:2], dtype=torch.float64)
        run(differ, images, photos.fused, weight, sums)
        total = sums.sum(1).float()
    else:
        total = (weight * (images - photos.fused).abs().mean(3)).sum((1, 2))
    return total / weight.sum((1, 2)).clamp_min(1e-9)


def gated(views: ViewBatch, refined: Refinement, config: GateConfig) -> Refinement:
    """Blend each refined view into its render by how much nearer to the photos it is.

    Views that are not nearer, or that the photos do not show, are returned as rendered.
    """
    photos = refined.photos
    if photos is None or photos.detail_scale != DETAIL_SCALE:
        photos = align_photos(views, DETAIL_SCALE)
    before, after = disagreement(views.render, photos), disagreement(refined.image, photos)
    taken = shares_taken(before, after, config)
    return Refinement(
        image=torch.lerp(views.render, refined.image, taken[:, None, None, None]),
        # A partly blended view is as good a target as a fully blended one.
        weight=torch.where(taken[:, None, None] > 0, refined.weight, 0.0),
        rejected=taken == 0,
    )


def shares_taken(
    before: Float32[Tensor, " b"], after: Float32[Tensor, " b"], config: GateConfig
) -> Float32[Tensor, " b"]:
    """Blend weight of each refined view, 0 to 1.

    Args:
        before: disagreement of the renders with the photos, not negative.
        after: disagreement of the refined views.
    """
    fall = (before - after) / before.clamp_min(LEAST_DISAGREEMENT)
    ramp = (fall - config.least) / max(config.full - config.least, LEAST_RAMP)
    # A view without improvement has weight 0, also where the least fraction is 0.
    return torch.where(fall > 0, ramp.clamp(0, 1), 0.0)


class Gated:
    """A refiner whose views are blended by the gate."""

    def __init__(self, refiner: Refiner, config: GateConfig, device: torch.device) -> None:
        self._refiner, self._config, self._device = refiner, config, device

    def __call__(self, views: ViewBatch) -> Refinement:
        views = views.to(self._device)
        return gated(views, self._refiner(views), self._config)
