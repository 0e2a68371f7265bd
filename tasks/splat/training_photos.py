"""Photos with known cameras, as the stages after sfm use them, and at the size of a fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from storage.handles import ArrayHandle
from tasks.cameras import Cameras
from tasks.images import fitted_sizes, resized, resized_mask
from tasks.sfm.artefact import Sparse
from tasks.sfm.matches import Matches


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedPhotos:
    """Undistorted photos with known cameras, and their matches."""

    cameras: Cameras
    """Pinhole cameras of all photos."""
    matches: Matches
    """Of each two photos; ``photo_index`` counts ``cameras``."""
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    """RGB, each of the size of its camera."""
    masks: Sequence[Bool[np.ndarray, "_ _"] | None]
    """Pixels of each photo that may be used; None = all."""

    def only(self, chosen: Sequence[int]) -> "PosedPhotos":
        """Some of the photos, ascending, read now, as if no others had been taken."""
        return PosedPhotos(
            cameras=self.cameras.select(chosen),
            matches=self.matches.only(chosen),
            photos=[self.photos[index] for index in chosen],
            masks=[self.masks[index] for index in chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SizedPhotos:
    """Photos at the size of a fit, with their cameras and weights."""

    cameras: Cameras
    photos: list[UInt8[np.ndarray, "_ _ 3"]]
    weights: list[Float32[np.ndarray, "_ _"] | None]
    """Weight of each pixel in the loss, 0 or more; None stands for 1 everywhere."""


def posed_photos(sparse: ArrayHandle) -> PosedPhotos:
    """The photos of a stored reconstruction; each is read when it is indexed."""
    stored = Sparse(sparse)
    return PosedPhotos(
        cameras=stored.cameras,
        matches=stored.matches,
        photos=stored.photos,
        masks=stored.masks,
    )


def sized_photos(
    cameras: Cameras,
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    chosen: Sequence[int],
    max_size: int,
    *,
    masks: Sequence[Bool[np.ndarray, "_ _"] | None] | None = None,
) -> SizedPhotos:
    """The photos at ``chosen``, read one at a time, their longest edge at most ``max_size`` px."""
    smaller = cameras.select(chosen)
    smaller = smaller.resized(fitted_sizes(smaller.sizes, max_size))
    sizes = [smaller.size(index) for index in range(len(smaller))]
    return SizedPhotos(
        cameras=smaller,
        photos=[resized(photos[i], size) for i, size in zip(chosen, sizes, strict=True)],
        weights=[
            None
            if masks is None or (mask := masks[i]) is None
            else resized_mask(mask, size).astype(np.float32)
            for i, size in zip(chosen, sizes, strict=True)
        ],
    )


def photos_of(
    sparse: ArrayHandle, splat: ArrayHandle, side: Literal["training", "validation"]
) -> SizedPhotos:
    """The photos on one side of a stored splat's split, at the size of its fit.

    Args:
        sparse: the reconstruction that the splat was fitted in.
    """
    stored = Sparse(sparse)
    return sized_photos(
        stored.cameras,
        stored.photos,
        stored.cameras.indices_of(splat.attributes[side]),
        splat.attributes["longest_edge"],
        masks=stored.masks,
    )
