"""Layout of a scene's novel views in the store, and their reader.

Arrays, for view ``0000``, ``0001``, ...: ``rgb_`` and ``warped_`` (uint8, [h w 3]), ``alpha_``,
``confidence_`` and ``warped_valid_`` (uint8, [h w]), ``depth_`` (float32, [h w]), and of the plane
sweep ``swept_depth_`` (float32, [h w]), ``swept_cost_`` (float16, [h w]), ``swept_warped_`` (uint8,
[k h w 3]) and ``swept_valid_`` (uint8, [k h w]), of its points ``surface_gap_`` and
``surface_error_`` (float16, [h w]); 255 stands for 1. Then ``camera_from_world``
[n 4 4], ``intrinsics`` [n 3 3] and ``sizes`` [n 2] of the views. The attributes name the views, the
photo nearest to each and its sources.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from storage.handles import ArrayHandle
from storage.store import NamedArray, Writer
from tasks.artefacts import Lazy, read_cameras
from tasks.artefacts import arrays_of as arrays_of_cameras
from tasks.cameras import Cameras, joined
from tasks.depth.sweep import Swept
from tasks.images import from_uint8, to_uint8
from tasks.views.renderer import NovelView
from tasks.views.surface import Surface


def write_views(out: Writer, views: Iterable[NovelView]) -> dict[str, Any]:
    """Add views to ``out`` as they are made, then their cameras.

    Returns:
        The attributes to commit ``out`` with.
    """
    cameras: list[Cameras] = []
    rows: list[dict[str, Any]] = []
    for number, view in enumerate(views):
        out.add_all(_arrays_of(view, number))
        cameras.append(view.camera)
        rows.append(
            {
                "name": view.camera.names[0],
                "nearest": view.nearest,
                "sources": list(view.sources),
                "mean_confidence": float(view.confidence.mean()),
            }
        )
    out.add_all(arrays_of_cameras(joined(cameras), dim="view"))
    return {"views": rows}


def _arrays_of(view: NovelView, number: int) -> Iterator[NamedArray]:
    swept, image, photos = view.swept, ("y", "x"), ("source", "y", "x")
    for name, values, dims in (
        ("rgb", to_uint8(view.rgb), (*image, "channel")),
        ("depth", view.depth, image),
        ("alpha", to_uint8(view.alpha), image),
        ("confidence", to_uint8(view.confidence), image),
        ("warped", to_uint8(view.warped), (*image, "channel")),
        ("warped_valid", to_uint8(view.warped_valid), image),
        ("swept_depth", swept.depth, image),
        ("swept_cost", swept.cost.astype(np.float16), image),
        ("swept_warped", to_uint8(swept.warped), (*photos, "channel")),
        ("swept_valid", to_uint8(swept.valid), photos),
        ("surface_gap", view.surface.gap.astype(np.float16), image),
        ("surface_error", view.surface.error.astype(np.float16), image),
    ):
        yield NamedArray(name=f"{name}_{number:04d}", values=values, dims=dims)


class NovelViews:
    """Stored novel views; each is read on access."""

    def __init__(self, stored: ArrayHandle) -> None:
        self._stored = stored
        self._rows = stored.attributes["views"]
        self.cameras = read_cameras(stored, [row["name"] for row in self._rows])
        self.views: Sequence[NovelView] = Lazy(len(self.cameras), self.view)

    def __len__(self) -> int:
        return len(self.cameras)

    def view(self, index: int) -> NovelView:
        """View ``index`` of ``cameras``, as exact as the stored 8-bit values."""
        row = self._rows[index]
        return NovelView(
            camera=self.cameras.select([index]),
            rgb=self._shares("rgb", index),
            depth=self._array("depth", index),
            alpha=self._shares("alpha", index),
            confidence=self._shares("confidence", index),
            nearest=row["nearest"],
            warped=self._shares("warped", index),
            warped_valid=self._shares("warped_valid", index),
            sources=tuple(row["sources"]),
            swept=Swept(
                depth=self._array("swept_depth", index),
                cost=self._array("swept_cost", index).astype(np.float32),
                warped=self._shares("swept_warped", index),
                valid=self._shares("swept_valid", index),
            ),
            surface=Surface(
                gap=self._array("surface_gap", index).astype(np.float32),
                error=self._array("surface_error", index).astype(np.float32),
            ),
        )

    def _array(self, name: str, index: int) -> np.ndarray:
        return self._stored.array(f"{name}_{index:04d}")

    def _shares(self, name: str, index: int) -> Float32[np.ndarray, "..."]:
        return from_uint8(self._array(name, index))
