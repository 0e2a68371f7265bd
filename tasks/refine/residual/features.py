"""What the network sees of a view: pictures of the same place, and how they came about.

Nothing depends on the scale of the world or of its errors: depths are taken relative to rendered
ones, and costs, gaps and errors x as x / (x + s).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from tasks.refine.batch import ViewBatch
from tasks.refine.colour import align_colours
from tasks.refine.reproject import align_swept, reproject
from tasks.refine.residual.config import NetworkConfig

MAPS = 8
CONFIDENCE = 0
"""Which of them it is."""
COST_SCALE = 0.05
"""Where half of the range of a bounded value is reached."""
GAP_SCALE = 0.1
ERROR_SCALE = 0.03
SHIFT_SCALE = 0.25
"""Of the logarithm of swept to rendered depth: as far as the sweep goes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Of views, or of equal crops of them."""

    pictures: Float32[Tensor, "b n 3 h w"]
    """In [0, 1]: the render, what `reproject` makes of it, the nearest photo warped by the rendered
    depth, and the swept photos, best first. Photos have the render's colours, and are the render
    where they do not show the pixel."""
    valid: Float32[Tensor, "b n-2 h w"]
    """How surely each photo shows the pixel, in [0, 1]."""
    maps: Float32[Tensor, "b m h w"]
    """In [-1, 1]: confidence, alpha, trust of `reproject`, bounded cost, gap and error, shift of
    the swept depth, nearness."""

    def map(self, change: Callable[[Tensor], Tensor]) -> "Features":
        """The same, each tensor changed."""
        return Features(
            pictures=change(self.pictures), valid=change(self.valid), maps=change(self.maps)
        )


def picture_count(config: NetworkConfig) -> int:
    return 3 + config.photos


def features_of(views: ViewBatch, config: NetworkConfig) -> Features:
    """Prepare whole views: colours are aligned, and depths compared, over all of their pixels.

    Views of fewer photos than ``config.photos`` are filled up with invalid ones.
    """
    repaired = reproject(views, config.reproject)
    swept = align_swept(views, config.reproject)[:, : config.photos]
    swept_valid = views.swept_valid[:, : config.photos]
    warped = align_colours(views.warped, views.render, views.confidence * views.warped_valid)
    photos = torch.cat([warped[:, None], swept], 1)
    valid = torch.cat([views.warped_valid[:, None], swept_valid], 1)
    missing = 1 + config.photos - photos.shape[1]
    if missing > 0:
        photos = torch.cat([photos, photos.new_zeros(len(photos), missing, *photos.shape[2:])], 1)
        valid = torch.cat([valid, valid.new_zeros(len(valid), missing, *valid.shape[2:])], 1)
    render = views.render[:, None]
    pictures = torch.cat(
        [render, repaired.image[:, None], torch.lerp(render, photos, valid[..., None])], 1
    )
    typical = views.depth.flatten(1).median(1).values[:, None, None]
    maps = torch.stack(
        [
            2 * views.confidence - 1,
            2 * views.alpha - 1,
            2 * repaired.weight - 1,
            _bounded(views.swept_cost, COST_SCALE),
            _bounded(views.surface_gap, GAP_SCALE),
            _bounded(views.surface_error, ERROR_SCALE),
            (torch.log(views.swept_depth / views.depth) / SHIFT_SCALE).clamp(-1, 1),
            (typical - views.depth) / (typical + views.depth),
        ],
        1,
    )
    return Features(pictures=pictures.permute(0, 1, 4, 2, 3), valid=valid, maps=maps)


def _bounded(values: Tensor, scale: float) -> Tensor:
    """From [0, inf) to [-1, 1)."""
    return 2 * values / (values + scale) - 1
