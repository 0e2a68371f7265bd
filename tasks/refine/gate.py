"""Whether a repaired view fits the photos better than the render that it was made from.

Where at least two photos show a pixel and agree about it, they are a witness, if one that the
refiner knew: a picture that they contradict more than they contradicted the render was made up.
"""

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from tasks.refine.batch import AlignedPhotos, Refinement, Refiner, ViewBatch
from tasks.refine.config import Reproject
from tasks.refine.cpu.arrays import run
from tasks.refine.cpu.kernels import differ
from tasks.refine.photos import align_photos

DETAIL_SCALE = Reproject().detail_scale
"""How agreement is told, and photos are brought to the colours of the render."""


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


def gated(views: ViewBatch, refined: Refinement, margin: float) -> Refinement:
    """Give back as rendered the views that do not fit the photos better by a margin.

    So are those that no photos speak for.

    Args:
        margin: share of the render's disagreement by which it must fall.
    """
    photos = refined.photos
    if photos is None or photos.detail_scale != DETAIL_SCALE:
        photos = align_photos(views, DETAIL_SCALE)
    before, after = disagreement(views.render, photos), disagreement(refined.image, photos)
    rejected: Bool[Tensor, " b"] = ~(after < (1 - margin) * before)
    return Refinement(
        image=torch.where(rejected[:, None, None, None], views.render, refined.image),
        weight=torch.where(rejected[:, None, None], 0.0, refined.weight),
        rejected=rejected,
    )


class Gated:
    """A refiner whose repairs pass the gate or are left."""

    def __init__(self, refiner: Refiner, margin: float, device: torch.device) -> None:
        self._refiner, self._margin, self._device = refiner, margin, device

    def __call__(self, views: ViewBatch) -> Refinement:
        views = views.to(self._device)
        return gated(views, self._refiner(views), self._margin)
