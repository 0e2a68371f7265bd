"""Repairs of single novel views: as one splat shows them, or as several do."""

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
"""What a splat shows from a place, one camera."""
ViewRefinement = Callable[[NovelView], Refinement]
"""Of one view: a batch of one."""


def refine_with(
    refiner: Refiner, photo: Photo, ensemble: Sequence[RenderView] = ()
) -> ViewRefinement:
    """How a view is repaired.

    Where the splat has siblings (:mod:`tasks.splat.ensemble`), the view is repaired as each of
    them shows it, too, and the mean of all is taken: what is left of their errors differs.

    Args:
        photo: asked for the nearest photo of each view.
        siblings: of the splat that the views are of.
    """
    alone = partial(_refined, refiner, photo)

    def by_all(view: NovelView) -> Refinement:
        return mean_refinement([alone(view), *(alone(look(view.camera)) for look in ensemble)])

    return by_all if ensemble else alone


def mean_refinement(parts: Sequence[Refinement]) -> Refinement:
    """Mean image and weight of repairs of the same views; rejected is what all reject."""
    rejected = [part.rejected for part in parts if part.rejected is not None]
    return Refinement(
        image=torch.stack([part.image for part in parts]).mean(0),
        weight=torch.stack([part.weight for part in parts]).mean(0),
        rejected=torch.stack(rejected).all(0) if len(rejected) == len(parts) else None,
    )


def _refined(refiner: Refiner, photo: Photo, view: NovelView) -> Refinement:
    return refiner(batch_of([view], [photo(view.nearest)]))
