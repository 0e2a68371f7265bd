"""Layout of refined views in the store, and their reader.

Arrays, for each novel view in the order of the novel views: ``image_0000`` (uint8,
[h w 3]) and ``weight_0000`` (uint8, [h w]); 255 stands for 1. The attributes name the views, and
those that the gate rejected.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float32

from storage.handles import ArrayHandle
from storage.store import Writer
from tasks.images import from_uint8, to_uint8
from tasks.refine.refiner import Refinement
from tasks.runtime.context import Context


def write_refined(
    out: Writer, refined: Iterable[tuple[str, Refinement]], *, count: int, context: Context
) -> dict[str, Any]:
    """Add refined views to ``out`` as they are made.

    Args:
        refined: name and refinement of each view, a batch of one.
        count: number of views; for the progress.

    Returns:
        The attributes to commit ``out`` with.
    """
    names: list[str] = []
    rejected: list[str] = []
    for index, (name, found) in enumerate(refined):
        names.append(name)
        if found.rejected is not None and bool(found.rejected[0]):
            rejected.append(name)
        image, weight = found.image[0].cpu().numpy(), found.weight[0].cpu().numpy()
        out.add(f"image_{index:04d}", to_uint8(image), ("y", "x", "channel"))
        out.add(f"weight_{index:04d}", to_uint8(weight), ("y", "x"))
        context.progress((index + 1) / count, f"refined {name}")
    return {"names": names, "rejected": rejected}


class RefinedViews:
    """Stored refined views; each is read on access."""

    def __init__(self, stored: ArrayHandle) -> None:
        self._stored = stored
        self.names: tuple[str, ...] = tuple(stored.attributes["names"])
        self.rejected: tuple[str, ...] = tuple(stored.attributes["rejected"])

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Float32[np.ndarray, "h w 3"]:
        """In [0, 1]."""
        return from_uint8(self._stored.array(f"image_{index:04d}"))

    def weight(self, index: int) -> Float32[np.ndarray, "h w"]:
        """Weight of each pixel as a target of an optimisation, in [0, 1]."""
        return from_uint8(self._stored.array(f"weight_{index:04d}"))
