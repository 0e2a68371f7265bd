"""What the views and refine stages would make of a pose whose photo they never see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from tasks.cameras import Cameras
from tasks.gaussians import Gaussians
from tasks.ingest.source import Source
from tasks.refine.batch import batch_of
from tasks.refine.config import RefineConfig
from tasks.refine.select import refiner_for
from tasks.site import Device
from tasks.views.config import ViewsConfig
from tasks.views.view import observe, prepare


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repaired:
    """A view of the splat, how far its pixels are trusted, and its repair; images in [0, 1]."""

    rendered: Float32[np.ndarray, "h w 3"]
    confidence: Float32[np.ndarray, "h w"]
    refined: Float32[np.ndarray, "h w 3"] | None
    """Nothing where no refiner was asked for."""


Repair = Callable[[Cameras], Repaired]


def repair_with(
    gaussians: Gaussians,
    training: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    views: ViewsConfig,
    refine: RefineConfig | None,
    *,
    longest_edge: int,
    weights: Source | None = None,
    masks: Sequence[Bool[np.ndarray, "_ _"] | None] | None = None,
    device: Device = "cpu",
    threads: int | None = None,
) -> Repair:
    """The repair of one camera at a time, from the training photos alone.

    Views that ``refine`` draws together are novel ones, which splats learn from; that of a held-out
    photo is none of them, and is drawn for itself by the same model.

    Args:
        photos: of ``training``, undistorted, in its order.
        longest_edge: of the renders, px.
        weights: of the refiner; None where it has learnt nothing.
        masks: of the photos, where they have one; False on pixels not to be used.
        threads: CPU threads of the refiner's network; None for as many as torch takes.
    """
    observer = prepare(
        gaussians, training, photos, longest_edge=longest_edge, masks=masks, device=device
    )
    refiner = None
    if refine is not None:
        refiner = refiner_for(refine, device, weights=weights, threads=threads)

    def repair(camera: Cameras) -> Repaired:
        view = observe(observer, camera, views)
        refined = None
        if refiner is not None:
            nearest = photos[training.names.index(view.nearest)]
            refined = refiner(batch_of([view], [nearest])).image[0].cpu().numpy()
        return Repaired(rendered=view.rgb, confidence=view.confidence, refined=refined)

    return repair
