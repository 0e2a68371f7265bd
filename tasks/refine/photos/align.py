"""Swept photos of a view aligned with the render's colours, and fused into one picture."""

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.cpu import kernels
from tasks.refine.cpu.arrays import run
from tasks.refine.photos.box_filter import box_mean_torch
from tasks.refine.photos.colour import ColourChange, colour_change
from tasks.refine.refiner import AlignedPhotos, ViewBatch

RANK_DECAY = 0.5
"""Weight of each next photo: further ones are warped less well, and a mean of all is blurred."""
OUTLIER_SCALE = 0.1
"""Difference from the other photos at which one counts 1 / e."""
OUTLIER_RADIUS = 1


def align_photos(views: ViewBatch, detail_scale: float) -> AlignedPhotos:
    """Align the swept photos with the render's colours, by the pixels where both are reliable.

    Args:
        detail_scale: disagreement of the photos at which their weight is 1 / e.
    """
    agreed = (views.swept_valid.sum(1) >= 2).float()
    trust = agreed * torch.exp(-views.swept_cost / detail_scale)
    change = colour_change(
        views.swept,
        views.render[:, None].expand_as(views.swept),
        views.confidence[:, None],
        trust[:, None],
        views.swept_valid,
    )
    return AlignedPhotos(
        change=change,
        fused=fuse(views.swept, views.swept_valid, change),
        agreed=agreed,
        trust=trust,
        detail_scale=detail_scale,
    )


def fuse(
    photos: Float32[Tensor, "b k h w 3"],
    valid: Float32[Tensor, "b k h w"],
    change: ColourChange,
) -> Float32[Tensor, "b h w 3"]:
    """Weighted mean of the photos that show a pixel; more for earlier ones, less for outliers.

    Black where none shows it.

    Args:
        change: applied to the colours of each photo before.
    """
    if photos.device.type != "cpu":
        return fuse_torch(photos, valid, change)
    fused = photos.new_empty((len(photos), *photos.shape[2:]))
    run(
        kernels.fuse,
        photos,
        valid,
        change.gain,
        change.offset,
        RANK_DECAY ** torch.arange(photos.shape[1], dtype=torch.float32),
        OUTLIER_RADIUS,
        OUTLIER_SCALE,
        fused,
    )
    return fused


def fuse_torch(
    photos: Float32[Tensor, "b k h w 3"],
    valid: Float32[Tensor, "b k h w"],
    change: ColourChange,
) -> Float32[Tensor, "b h w 3"]:
    """As :func:`fuse`, on any device."""
    photos = change.apply(photos)
    ranks = torch.arange(photos.shape[1], device=photos.device, dtype=torch.float32)
    weights = valid * (RANK_DECAY**ranks)[:, None, None]
    first = _weighted_mean(photos, weights)
    outlying = (photos - first[:, None]).abs().mean(-1)
    outlying = box_mean_torch(outlying.flatten(0, 1)[..., None], OUTLIER_RADIUS)[..., 0]
    return _weighted_mean(photos, weights * torch.exp(-outlying.view_as(weights) / OUTLIER_SCALE))


def _weighted_mean(photos: Tensor, weights: Tensor) -> Tensor:
    total = (weights[..., None] * photos).sum(1)
    return total / weights.sum(1).clamp_min(1e-9)[..., None]
