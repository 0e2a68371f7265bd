"""Refined views as they lie in the store, and how later stages read them.

Arrays, for each novel view in the order of the views they were made from: ``image_0000`` (uint8,
[h w 3]) and ``weight_0000`` (uint8, [h w]); 255 stands for 1. The attributes name the views, and
those that a gate rejected.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32

from storage.handles import ArrayHandle
from storage.store import NamedArray
from tasks.images import from_levels, levels
from tasks.refine.ensemble import ViewRefinement
from tasks.runtime.context import Progress, no_progress
from tasks.views.renderer import NovelView


class RefinedContent:
    """Refines views while its arrays are taken; iterate once, then ask for ``attributes``."""

    def __init__(
        self,
        views: Iterable[NovelView],
        repairs: Iterable[ViewRefinement],
        *,
        count: int,
        progress: Progress = no_progress,
    ) -> None:
        """
        Args:
            repairs: of each view; the same one or, where views were drawn together, its own.
            count: of the views.
        """
        self._views, self._repairs = views, repairs
        self._count, self._progress = count, progress
        self._names: list[str] = []
        self._rejected: list[str] = []

    def __iter__(self) -> Iterator[NamedArray]:
        # Repairs may go on without end.
        for index, (view, refine) in enumerate(zip(self._views, self._repairs, strict=False)):
            (name,) = view.camera.names
            refined = refine(view)
            self._names.append(name)
            if refined.rejected is not None and bool(refined.rejected[0]):
                self._rejected.append(name)
            image, weight = refined.image[0].cpu().numpy(), refined.weight[0].cpu().numpy()
            yield NamedArray(
                name=f"image_{index:04d}", values=levels(image), dims=("y", "x", "channel")
            )
            yield NamedArray(name=f"weight_{index:04d}", values=levels(weight), dims=("y", "x"))
            self._progress((index + 1) / self._count, f"refined {name}")

    def attributes(self) -> dict[str, Any]:
        """What the arrays do not say, JSON-able."""
        return {"names": self._names, "rejected": self._rejected}


class RefinedViews:
    """Stored refined views; each is read when asked for."""

    def __init__(self, stored: ArrayHandle) -> None:
        self._stored = stored
        self.names: tuple[str, ...] = tuple(stored.attributes["names"])
        self.rejected: tuple[str, ...] = tuple(stored.attributes["rejected"])

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Float32[np.ndarray, "h w 3"]:
        """In [0, 1]."""
        return from_levels(self._stored.array(f"image_{index:04d}"))

    def weight(self, index: int) -> Float32[np.ndarray, "h w"]:
        """How far each pixel may be trusted as a target, in [0, 1]."""
        return from_levels(self._stored.array(f"weight_{index:04d}"))
