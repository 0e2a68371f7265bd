"""Refinement of held-out poses, as the views and refine stages would do it without their photos."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32

from tasks.cameras import Cameras
from tasks.evaluate.config import HeldOutRefinement
from tasks.refine.ensemble import Photo, refine_with
from tasks.refine.select import refiner_for
from tasks.runtime.context import Context
from tasks.views.renderer import ViewRenderer, render_view


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinedView:
    """A view of the splat, its confidence, and its refinement; images in [0, 1]."""

    rendered: Float32[np.ndarray, "h w 3"]
    confidence: Float32[np.ndarray, "h w"]
    refined: Float32[np.ndarray, "h w 3"] | None
    """None where the refine stage is off."""


RefineView = Callable[[Cameras], RefinedView]


def held_out_refiner(
    splat: ViewRenderer,
    photo: Photo,
    refinement: HeldOutRefinement,
    *,
    ensemble: Sequence[ViewRenderer] = (),
    context: Context = Context(),
) -> RefineView:
    """A function that refines the view of one camera, from the training photos alone.

    A config for joint drawing applies to novel views, which splats are fitted to; a held-out pose
    is not one of them, and its view is drawn on its own by the same model.

    Args:
        photo: gives undistorted training photos by name.
        ensemble: splats fitted to the same photos.
    """
    refine = None
    if refinement.refine is not None:
        refiner = refiner_for(
            refinement.refine, weights=refinement.weights, context=context.nested()
        )
        renderers = [partial(render_view, one, config=refinement.views) for one in ensemble]
        refine = refine_with(refiner, photo, renderers)

    def refine_view(camera: Cameras) -> RefinedView:
        view = render_view(splat, camera, refinement.views)
        return RefinedView(
            rendered=view.rgb,
            confidence=view.confidence,
            refined=None if refine is None else refine(view).image[0].cpu().numpy(),
        )

    return refine_view
