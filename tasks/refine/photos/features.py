"""A network's inputs for a view: pictures of the same pixels, and maps of their reliability.

Nothing depends on the scale of the world or of its errors: depths are taken relative to rendered
ones, and costs, gaps and errors x as x / (x + s).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.config import FeaturesConfig
from tasks.refine.cpu.arrays import run
from tasks.refine.cpu.kernels import show
from tasks.refine.photos.align import align_photos
from tasks.refine.photos.colour import ColourChange, colour_change
from tasks.refine.photos.reproject import reproject
from tasks.refine.refiner import AlignedPhotos, ViewBatch

MAPS = 8
CONFIDENCE = 0
"""Index of the confidence among the maps."""
COST_SCALE = 0.05
"""Value at which a bounded value reaches half of its range."""
GAP_SCALE = 0.1
ERROR_SCALE = 0.03
SHIFT_SCALE = 0.25
"""Of the logarithm of swept to rendered depth: as far as the sweep goes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Features of views, or of equal crops of them."""

    pictures: Float32[Tensor, "b n 3 h w"]
    """In [0, 1]: the render, the refinement by `reproject`, the nearest photo warped by the
    rendered depth, and the swept photos, best first. Photos are aligned with the render's colours,
    and replaced by it where they do not show the pixel."""
    valid: Float32[Tensor, "b n-2 h w"]
    """Visibility of the pixel in each photo, in [0, 1]."""
    maps: Float32[Tensor, "b m h w"]
    """In [-1, 1]: confidence, alpha, trust of `reproject`, bounded cost, gap and error, shift of
    the swept depth, nearness."""

    def map(self, change: Callable[[Tensor], Tensor]) -> "Features":
        """The same, each tensor changed."""
        return Features(
            pictures=change(self.pictures), valid=change(self.valid), maps=change(self.maps)
        )


def picture_count(config: FeaturesConfig) -> int:
    return 3 + config.photos


def features_of(
    views: ViewBatch, config: FeaturesConfig, photos: AlignedPhotos | None = None
) -> Features:
    """Features of whole views: colours are aligned, and depths compared, over all of their pixels.

    Views with fewer photos than ``config.photos`` are padded with invalid ones.

    Args:
        photos: aligned photos of the views, by the scale of ``config.reproject``; None aligns them.
    """
    if photos is None:
        photos = align_photos(views, config.reproject.detail_scale)
    refined = reproject(views, config.reproject, photos)
    warped = views.warped[:, None]
    change = colour_change(
        warped, views.render[:, None], views.confidence[:, None], views.warped_valid[:, None]
    )
    count = min(config.photos, views.swept.shape[1])
    pictures = views.render.new_empty(
        (len(views.render), picture_count(config), *views.render.shape[1:])
    )
    pictures[:, 0] = views.render
    pictures[:, 1] = refined.image
    _show(pictures, 2, 1, warped, views.warped_valid[:, None], change)
    _show(pictures, 3, count, views.swept, views.swept_valid, photos.change)
    pictures[:, 3 + count :] = views.render[:, None]
    valid = views.render.new_zeros((len(pictures), 1 + config.photos, *views.depth.shape[1:]))
    valid[:, 0] = views.warped_valid
    valid[:, 1 : 1 + count] = views.swept_valid[:, :count]
    typical = views.depth.flatten(1).median(1).values[:, None, None]
    maps = torch.stack(
        [
            2 * views.confidence - 1,
            2 * views.alpha - 1,
            2 * refined.weight - 1,
            _bounded(views.swept_cost, COST_SCALE),
            _bounded(views.surface_gap, GAP_SCALE),
            _bounded(views.surface_error, ERROR_SCALE),
            (torch.log(views.swept_depth / views.depth) / SHIFT_SCALE).clamp(-1, 1),
            (typical - views.depth) / (typical + views.depth),
        ],
        1,
    )
    return Features(pictures=pictures.permute(0, 1, 4, 2, 3), valid=valid, maps=maps)


def _show(
    pictures: Float32[Tensor, "b n h w 3"],
    first: int,
    count: int,
    photos: Float32[Tensor, "b k h w 3"],
    valid: Float32[Tensor, "b k h w"],
    change: ColourChange,
) -> None:
    """Write ``count`` photos with aligned colours after the ``first`` pictures; the render where
    they are not valid."""
    if not pictures.is_cpu:
        render, shown = pictures[:, :1], change.apply(photos)[:, :count]
        pictures[:, first : first + count] = torch.lerp(render, shown, valid[:, :count, ..., None])
        return
    run(
        show,
        photos,
        valid,
        change.gain,
        change.offset,
        pictures,
        first,
        count,
    )


def _bounded(values: Tensor, scale: float) -> Tensor:
    """From [0, inf) to [-1, 1)."""
    return 2 * values / (values + scale) - 1
