"""What the views and refine stages would make of a pose whose photo they never see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32

from tasks.cameras import Cameras
from tasks.ingest.source import Source
from tasks.refine.config import RefineConfig
from tasks.refine.ensemble import Photo, refine_with
from tasks.refine.select import refiner_for
from tasks.runtime.context import Device
from tasks.views.config import ViewsConfig
from tasks.views.renderer import ViewRenderer, render_view


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefinedView:
    """A view of the splat, how far its pixels are trusted, and its repair; images in [0, 1]."""

    rendered: Float32[np.ndarray, "h w 3"]
    confidence: Float32[np.ndarray, "h w"]
    refined: Float32[np.ndarray, "h w 3"] | None
    """Nothing where no refiner was asked for."""


RefineView = Callable[[Cameras], RefinedView]


def held_out_refiner(
    splat: ViewRenderer,
    photo: Photo,
    views: ViewsConfig,
    refine: RefineConfig | None,
    *,
    ensemble: Sequence[ViewRenderer] = (),
    weights: Source | None = None,
    device: Device = "cpu",
    threads: int | None = None,
) -> RefineView:
    """The repair of one camera at a time, from the training photos alone.

    Views that ``refine`` draws together are novel ones, which splats learn from; that of a held-out
    photo is none of them, and is drawn for itself by the same model.

    Args:
        photo: asked for training photos, undistorted.
        siblings: of the splat.
        weights: of the refiner; None where it has learnt nothing.
        threads: CPU threads of the refiner's network; None for as many as torch takes.
    """
    refined = None
    if refine is not None:
        refiner = refiner_for(refine, device, weights=weights, threads=threads)
        renderers = [partial(render_view, member, config=views) for member in ensemble]
        refined = refine_with(refiner, photo, renderers)

    def refine_view(camera: Cameras) -> RefinedView:
        view = render_view(splat, camera, views)
        return RefinedView(
            rendered=view.rgb,
            confidence=view.confidence,
            refined=None if refined is None else refined(view).image[0].cpu().numpy(),
        )

    return refine_view
