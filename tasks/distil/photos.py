"""The photos that a stored splat was fitted to, or that were kept from it."""

from typing import Literal

from storage.handles import ArrayHandle
from tasks.sfm.artefact import Sparse
from tasks.splat.training_photos import SizedPhotos, sized_photos


def photos_of(
    sparse: ArrayHandle, splat: ArrayHandle, side: Literal["training", "validation"]
) -> SizedPhotos:
    """Those on one side of the splat's split, as large as it was fitted to.

    Args:
        sparse: that the splat was fitted in.
    """
    stored = Sparse(sparse)
    return sized_photos(
        stored.cameras,
        stored.photos,
        stored.cameras.indices_of(splat.attributes[side]),
        splat.attributes["longest_edge"],
        masks=stored.masks,
    )
