"""Refined views as they lie in the store, and how later stages read them.

Arrays, for each novel view in the order of the views they were made from: ``image_0000`` (uint8,
[h w 3]) and ``weight_0000`` (uint8, [h w]); 255 stands for 1. The attributes name the views.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from storage.arrays import NamedArray
from storage.handles import ArrayHandle
from tasks.images import from_levels, levels
from tasks.refine.batch import Refiner, batch_of
from tasks.site import Progress, no_progress
from tasks.views.view import NovelView


def arrays_of(
    views: Iterable[NovelView],
    photo: Callable[[str], UInt8[np.ndarray, "_ _ 3"]],
    refiner: Refiner,
    *,
    count: int,
    progress: Progress = no_progress,
) -> Iterator[NamedArray]:
    """Refine views, one at a time.

    Args:
        photo: of a name; asked for the nearest photo of each view.
        count: of the views.
    """
    for index, view in enumerate(views):
        refined = refiner(batch_of([view], [photo(view.nearest)]))
        image, weight = refined.image[0].cpu().numpy(), refined.weight[0].cpu().numpy()
        yield NamedArray(
            name=f"image_{index:04d}", values=levels(image), dims=("y", "x", "channel")
        )
        yield NamedArray(name=f"weight_{index:04d}", values=levels(weight), dims=("y", "x"))
        progress((index + 1) / count, f"refined {view.camera.names[0]}")


def attributes_of(names: Sequence[str]) -> dict[str, Any]:
    """What the arrays do not say, JSON-able."""
    return {"names": list(names)}


class RefinedViews:
    """Stored refined views; each is read when asked for."""

    def __init__(self, stored: ArrayHandle) -> None:
        self._stored = stored
        self.names: tuple[str, ...] = tuple(stored.attributes["names"])

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Float32[np.ndarray, "h w 3"]:
        """In [0, 1]."""
        return from_levels(self._stored.array(f"image_{index:04d}"))

    def weight(self, index: int) -> Float32[np.ndarray, "h w"]:
        """How far each pixel may be trusted as a target, in [0, 1]."""
        return from_levels(self._stored.array(f"weight_{index:04d}"))
