"""A repair without learning: what photos agree on is painted over the render.

The photos of a view come warped to the depth at which they agree best, with the disagreement c that
is left. They are brought to the render's colours and fused, a better photo counting more, and the
difference D of the fused photo and the render is added as far as it is trusted:

    image = render + low(t_colour) low(D) + t_detail (D - low(D)),
    t_colour = v exp(-c / s_colour) e / (e + e_colour),
    t_detail = min(1, v exp(-c / s_detail) exp(-g / s_gap) e / e_detail),

low the mean over a square. What is trusted:

- c: colours are right on a wrong surface near the true one, details are not, so that they need a
  smaller disagreement to be believed.
- g: how far the swept points lie from the splat's surface as the photos see it. Photos of smooth
  walls agree at any depth; where that depth is no surface, their details are not of this place.
- e: the error of the splat in the photos at these points. A splat that shows them well needs no
  repair, and agreement that contradicts it is false.
- v, from 1/2 to 1: how surely the nearest photo shows what the render shows. Where it does not, the
  render has nothing to be compared with, and its depth is a poor start for the sweep.

Where fewer than two photos see a pixel, nothing says that its depth is right, and the render stays.

The form and its scales were fitted to the held-out photos of one of three draws of training photos
from six scenes (4 to 9 photos, splats of 1000 iterations), each scene left out in turn, and gained
there +0.56 dB where trust in c and the render's confidence alone gained +0.36; in the two other
draws +0.48 dB instead of +0.27.
"""

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn.functional import avg_pool2d

from tasks.refine.batch import Refinement, ViewBatch
from tasks.refine.colour import align_colours
from tasks.refine.config import Reproject

UNSEEN_SHARE = 0.5
"""Share of the difference that is added where the nearest photo does not show the pixel."""
ERROR_RADIUS = 2
"""Errors of single pixels are noise, px."""
RANK_DECAY = 0.5
"""Weight of each next photo: further ones are warped less well, and a mean of all is blurred."""
OUTLIER_SCALE = 0.1
"""Difference from the other photos at which one counts 1 / e."""
OUTLIER_RADIUS = 1


def reproject(views: ViewBatch, config: Reproject) -> Refinement:
    """Repair views from their photos; see the module."""
    agreed = (views.swept_valid.sum(1) >= 2).float()
    exact = trusted(views, config)
    fused = fuse(align_swept(views, config), views.swept_valid)
    difference = agreed[..., None] * (fused - views.render)
    colour = box_mean(difference, config.detail_radius)

    error = _mean_map(views.surface_error, ERROR_RADIUS)
    seen = UNSEEN_SHARE + (1 - UNSEEN_SHARE) * views.warped_valid
    colour_trust = seen * torch.exp(-views.swept_cost / config.colour_scale)
    colour_trust = _mean_map(
        colour_trust * error / (error + config.colour_error), config.detail_radius
    )
    placed = seen * exact * torch.exp(-views.surface_gap / config.gap_scale)
    detail_trust = (placed * error / config.detail_error).clamp_max(1)
    repair = agreed[..., None] * (
        colour_trust[..., None] * colour + detail_trust[..., None] * (difference - colour)
    )
    return Refinement(
        image=(views.render + repair).clamp(0, 1),
        # What was not repaired weighs nothing: it would hold a splat where it was rendered from,
        # while the photos alone still improve it.
        weight=placed,
    )


def align_swept(views: ViewBatch, config: Reproject) -> Float32[Tensor, "b k h w 3"]:
    """The swept photos in the colours of the render, by the pixels where both may be believed."""
    reliable = (views.confidence * trusted(views, config))[:, None] * views.swept_valid
    return align_colours(views.swept, views.render[:, None].expand_as(views.swept), reliable)


def trusted(views: ViewBatch, config: Reproject) -> Float32[Tensor, "b h w"]:
    """How far the photos agree about a pixel, 0 to 1; 0 where fewer than two see it."""
    agreed = (views.swept_valid.sum(1) >= 2).float()
    return agreed * torch.exp(-views.swept_cost / config.detail_scale)


def fuse(
    photos: Float32[Tensor, "b k h w 3"], valid: Float32[Tensor, "b k h w"]
) -> Float32[Tensor, "b h w 3"]:
    """Mean of the photos that see a pixel; earlier ones count more, and outliers less.

    Black where none sees it.
    """
    count = photos.shape[1]
    ranks = torch.arange(count, device=photos.device, dtype=torch.float32)
    weights = valid * (RANK_DECAY**ranks)[:, None, None]
    first = _weighted_mean(photos, weights)
    outlying = (photos - first[:, None]).abs().mean(-1)
    outlying = box_mean(outlying.flatten(0, 1)[..., None], OUTLIER_RADIUS)[..., 0]
    return _weighted_mean(photos, weights * torch.exp(-outlying.view_as(weights) / OUTLIER_SCALE))


def _weighted_mean(photos: Tensor, weights: Tensor) -> Tensor:
    total = (weights[..., None] * photos).sum(1)
    return total / weights.sum(1).clamp_min(1e-9)[..., None]


def box_mean(images: Float32[Tensor, "b h w c"], radius: int) -> Float32[Tensor, "b h w c"]:
    """Mean over the part within the image of the square ``radius`` px around each pixel."""
    side = 2 * radius + 1
    planes = images.permute(0, 3, 1, 2)
    for window, padding in (((side, 1), (radius, 0)), ((1, side), (0, radius))):
        planes = avg_pool2d(planes, window, stride=1, padding=padding, count_include_pad=False)
    return planes.permute(0, 2, 3, 1)


def _mean_map(values: Float32[Tensor, "b h w"], radius: int) -> Float32[Tensor, "b h w"]:
    return box_mean(values[..., None], radius)[..., 0]
