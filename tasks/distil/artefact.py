"""How a continued splat lies in the store, and how later stages read it.

Arrays: those of a splat (see :mod:`tasks.splat.artefact`), twice: with the prefixes ``control_``
and ``distilled_``.
"""

from collections.abc import Iterator
from typing import Any, Literal

from storage.arrays import NamedArray
from storage.handles import ArrayHandle
from tasks.distil.distil import Distilled
from tasks.gaussians import Gaussians
from tasks.splat.artefact import arrays_of as arrays_of_splat
from tasks.splat.artefact import read_gaussians as read_splat


def arrays_of(found: Distilled) -> Iterator[NamedArray]:
    yield from arrays_of_splat(found.control, prefix="control_")
    yield from arrays_of_splat(found.distilled, prefix="distilled_")


def attributes_of(found: Distilled, *, refined_views: int, guard: list[str]) -> dict[str, Any]:
    """What the arrays do not say, JSON-able.

    Args:
        guard: names of the guard photos, in the order of their scores.
    """
    return {
        "shipped": found.shipped,
        "backdrop": found.control.gaussians.backdrop,
        "refined_views": refined_views,
        "control_gaussians": len(found.control.gaussians),
        "distilled_gaussians": len(found.distilled.gaussians),
        "guarded": bool(guard),
        "guard": [
            {"view": name, "control_psnr_db": control, "distilled_psnr_db": distilled}
            for name, control, distilled in zip(
                guard, found.control_guard_psnr_db, found.distilled_guard_psnr_db, strict=True
            )
        ],
    }


def read_gaussians(
    stored: ArrayHandle, which: Literal["control", "distilled", "shipped"] = "shipped"
) -> Gaussians:
    """The Gaussians of one of the two splats; ``shipped`` is the one that the guard chose."""
    chosen = stored.attributes["shipped"] if which == "shipped" else which
    return read_splat(stored, prefix=f"{chosen}_")
