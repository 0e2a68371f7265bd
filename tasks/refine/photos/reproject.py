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
from torch import Tensor

from tasks.refine.config import Reproject
from tasks.refine.cpu import kernels
from tasks.refine.cpu.arrays import run
from tasks.refine.photos.align import align_photos
from tasks.refine.photos.box_filter import box_mean, mean_map
from tasks.refine.refiner import AlignedPhotos, Refinement, ViewBatch

UNSEEN_SHARE = 0.5
"""Share of the difference that is added where the nearest photo does not show the pixel."""
ERROR_RADIUS = 2
"""Errors of single pixels are noise, px."""


def reproject(
    views: ViewBatch, config: Reproject, photos: AlignedPhotos | None = None
) -> Refinement:
    """Repair views from their photos; see the module.

    Args:
        photos: of the views, where they were aligned before, by the scale of ``config``.
    """
    if photos is None:
        photos = align_photos(views, config.detail_scale)
    error = mean_map(views.surface_error, ERROR_RADIUS)
    seen = UNSEEN_SHARE + (1 - UNSEEN_SHARE) * views.warped_valid
    colour_trust = seen * torch.exp(-views.swept_cost / config.colour_scale)
    colour_trust = mean_map(
        colour_trust * error / (error + config.colour_error), config.detail_radius
    )
    placed = seen * photos.trust * torch.exp(-views.surface_gap / config.gap_scale)
    detail_trust = (placed * error / config.detail_error).clamp_max(1)
    return Refinement(
        image=_painted(views, photos, colour_trust, detail_trust, config.detail_radius),
        # What was not repaired weighs nothing: it would hold a splat where it was rendered from,
        # while the photos alone still improve it.
        weight=placed,
        photos=photos,
    )


def _painted(
    views: ViewBatch,
    photos: AlignedPhotos,
    colour_trust: Tensor,
    detail_trust: Tensor,
    radius: int,
) -> Tensor:
    """The render with what is trusted of its difference from the photos, colour and detail."""
    render, agreed = views.render, photos.agreed
    if not render.is_cpu:
        difference = agreed[..., None] * (photos.fused - render)
        colour = box_mean(difference, radius)
        refine = agreed[..., None] * (
            colour_trust[..., None] * colour + detail_trust[..., None] * (difference - colour)
        )
        return (render + refine).clamp(0, 1)
    difference, image = render.new_empty(render.shape), render.new_empty(render.shape)
    run(kernels.subtract, photos.fused, render, agreed, difference)
    run(
        kernels.paint,
        render,
        difference,
        box_mean(difference, radius),
        agreed,
        colour_trust,
        detail_trust,
        image,
    )
    return image
