"""Refinement of single novel views, averaged over an ensemble of splats."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import UInt8

from tasks.cameras import Cameras
from tasks.refine.refiner import Refinement, Refiner, batch_of
from tasks.views.renderer import NovelView

Photo = Callable[[str], UInt8[np.ndarray, "_ _ 3"]]
"""The photo of a name, of any size."""
RenderView = Callable[[Cameras], NovelView]
"""Render of a splat with one camera."""
ViewRefinement = Callable[[NovelView], Refinement]
"""Refinement of one view, as a batch of one."""


def refine_with(
    refiner: Refiner, photo: Photo, ensemble: Sequence[RenderView] = ()
) -> ViewRefinement:
    """The refinement of a view.

    With an ensemble (:mod:`tasks.splat.ensemble`), the view is refined as each of its splats
    renders it, too, and the results are averaged: their remaining errors differ.

    Args:
        photo: gives the nearest photo of each view by name.
        ensemble: renderers of splats fitted to the same photos; may be empty.
    """
    alone = partial(_refined, refiner, photo)

    def by_all(view: NovelView) -> Refinement:
        return mean_refinement([alone(view), *(alone(render(view.camera)) for render in ensemble)])

    return by_all if ensemble else alone


def mean_refinement(parts: Sequence[Refinement]) -> Refinement:
    """Mean image and weight of refinements of the same views; rejected where all reject."""
    rejected = [part.rejected for part in parts if part.rejected is not None]
    return Refinement(
        image=torch.stack([part.image for part in parts]).mean(0),
        weight=torch.stack([part.weight for part in parts]).mean(0),
        rejected=torch.stack(rejected).all(0) if len(rejected) == len(parts) else None,
    )


def _refined(refiner: Refiner, photo: Photo, view: NovelView) -> Refinement:
    return refiner(batch_of([view], [photo(view.nearest)]))
