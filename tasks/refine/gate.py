"""How much better than the render a repaired view fits the photos, and so how far it is taken.

Where at least two photos show a pixel and agree about it, they are a witness, if one that the
refiner knew: a picture that they contradict more than they contradicted the render was made up.
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
"""How agreement is told, and photos are brought to the colours of the render."""
LEAST_DISAGREEMENT = 1e-9
LEAST_RAMP = 1e-6
"""Of the share between nothing and all; where both are one, it is a step."""


def disagreement(
    images: Float32[Tensor, "b h w 3"], photos: AlignedPhotos
) -> Float32[Tensor, " b"]:
    """Mean absolute difference of images from the photos, where those see a pixel and agree.

    Nothing where they nowhere do.
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
    """Take each repair as far as it brings its view nearer to the photos.

    Views that it does not, or that no photos speak for, are given back as rendered.
    """
    photos = refined.photos
    if photos is None or photos.detail_scale != DETAIL_SCALE:
        photos = align_photos(views, DETAIL_SCALE)
    before, after = disagreement(views.render, photos), disagreement(refined.image, photos)
    taken = shares_taken(before, after, config)
    return Refinement(
        image=torch.lerp(views.render, refined.image, taken[:, None, None, None]),
        # What is taken in part is as good a target as what is taken in full.
        weight=torch.where(taken[:, None, None] > 0, refined.weight, 0.0),
        rejected=taken == 0,
    )


def shares_taken(
    before: Float32[Tensor, " b"], after: Float32[Tensor, " b"], config: GateConfig
) -> Float32[Tensor, " b"]:
    """How far each repair is taken: 0 not at all, 1 in full.

    Args:
        before: how far renders are from the photos, not negative.
        after: how far repairs are.
    """
    fall = (before - after) / before.clamp_min(LEAST_DISAGREEMENT)
    ramp = (fall - config.least) / max(config.full - config.least, LEAST_RAMP)
    # Nothing is taken of a repair that brings nothing, even where no least share is asked for.
    return torch.where(fall > 0, ramp.clamp(0, 1), 0.0)


class Gated:
    """A refiner whose repairs are taken as far as the gate lets them."""

    def __init__(self, refiner: Refiner, config: GateConfig, device: torch.device) -> None:
        self._refiner, self._config, self._device = refiner, config, device

    def __call__(self, views: ViewBatch) -> Refinement:
        views = views.to(self._device)
        return gated(views, self._refiner(views), self._config)
