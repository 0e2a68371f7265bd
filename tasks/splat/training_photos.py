"""Photos at the size of a fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from tasks.cameras import Cameras
from tasks.images import fitted_sizes, resized, resized_mask
from tasks.sfm.triangulate import Observations


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedPhotos:
    """Photos with known cameras and the observations of the scene's points in them."""

    cameras: Cameras
    """Undistorted pinhole cameras."""
    observations: Observations
    """``photo_index`` counts ``cameras``."""
    photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    masks: Sequence[Bool[np.ndarray, "_ _"] | None]
    """Where the photos may be used; None = everywhere."""

    def only(self, chosen: Sequence[int]) -> "PosedPhotos":
        """Some of the photos, ascending, read now, as if no others had been taken."""
        seen = self.observations.of_photos(chosen)
        places = np.searchsorted(np.asarray(chosen), seen.photo_index).astype(np.int32)
        return PosedPhotos(
            cameras=self.cameras.select(chosen),
            observations=replace(seen, photo_index=places),
            photos=[self.photos[index] for index in chosen],
            masks=[self.masks[index] for index in chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SizedPhotos:
    """Photos at the size of a fit, what each of their pixels counts, and their cameras."""

    cameras: Cameras
    photos: list[UInt8[np.ndarray, "_ _ 3"]]
    weights: list[Float32[np.ndarray, "_ _"] | None]


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
