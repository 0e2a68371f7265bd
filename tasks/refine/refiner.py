"""Input and output of every refiner."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from tasks.images import from_uint8, resized
from tasks.refine.photos.colour import ColourChange
from tasks.views.renderer import NovelView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewBatch:
    """Novel views of one size, on one device; images in [0, 1]."""

    render: Float32[torch.Tensor, "b h w 3"]
    depth: Float32[torch.Tensor, "b h w"]
    """Rendered, along the optical axis, world units; positive."""
    alpha: Float32[torch.Tensor, "b h w"]
    confidence: Float32[torch.Tensor, "b h w"]
    """Confidence of the render, in [0, 1]."""
    warped: Float32[torch.Tensor, "b h w 3"]
    """The nearest photo, warped into the view by the rendered depth."""
    warped_valid: Float32[torch.Tensor, "b h w"]
    """Visibility of the pixel's point in it, in [0, 1]."""
    nearest: Float32[torch.Tensor, "b h w 3"]
    """The nearest photo itself, resampled to the size of the view."""
    swept_depth: Float32[torch.Tensor, "b h w"]
    """Depth at which the photos agree, world units."""
    swept_cost: Float32[torch.Tensor, "b h w"]
    """Mean absolute difference of the photos there; 1 where fewer than two show the pixel."""
    swept: Float32[torch.Tensor, "b k h w 3"]
    """The photos, best first, warped by the swept depth."""
    swept_valid: Float32[torch.Tensor, "b k h w"]
    """1 where the photo shows the pixel, else 0."""
    surface_gap: Float32[torch.Tensor, "b h w"]
    """Distance of the swept point from the splat's surface in the photos, relative to the
    depth there; at most 1."""
    surface_error: Float32[torch.Tensor, "b h w"]
    """Mean absolute colour error of the splat there, in the photos."""

    def to(self, device: torch.device) -> "ViewBatch":
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self)}
        return ViewBatch(**moved)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedPhotos:
    """The swept photos of views, fused in the colours of the render, and their agreement."""

    change: ColourChange
    """Alignment of each photo, ``[b k]`` of them, with the render's colours."""
    fused: Float32[torch.Tensor, "b h w 3"]
    """Their mean, better ones with more weight; black where none shows the pixel."""
    agreed: Float32[torch.Tensor, "b h w"]
    """1 where at least two show the pixel, else 0."""
    trust: Float32[torch.Tensor, "b h w"]
    """Their agreement about the pixel, 0 to 1; 0 where fewer than two show it."""
    detail_scale: float
    """Disagreement at which ``trust`` is 1 / e."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refinement:
    """Refined views, and their weights as targets of an optimisation."""

    image: Float32[torch.Tensor, "b h w 3"]
    weight: Float32[torch.Tensor, "b h w"]
    """In [0, 1]."""
    rejected: Bool[torch.Tensor, " b"] | None = None
    """Views that the gate returned as rendered; None without a gate."""
    photos: AlignedPhotos | None = None
    """Aligned photos of the views, if the refiner made them: the gate uses them again."""


@runtime_checkable
class Refiner(Protocol):
    """Refines views; the result is on the device that the refiner was made for."""

    def __call__(self, views: ViewBatch) -> Refinement: ...


def batch_of(
    views: Sequence[NovelView], nearest: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> ViewBatch:
    """Stack views of one size and number of sources, on the CPU.

    Args:
        nearest: the photo that each view names as nearest, of any size.
    """

    def stacked(arrays: Sequence[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays).astype(np.float32, copy=False))

    photos = []
    for view, photo in zip(views, nearest, strict=True):
        height, width = view.depth.shape
        photos.append(from_uint8(resized(photo, (width, height))))
    return ViewBatch(
        render=stacked([view.rgb for view in views]),
        depth=stacked([view.depth for view in views]),
        alpha=stacked([view.alpha for view in views]),
        confidence=stacked([view.confidence for view in views]),
        warped=stacked([view.warped for view in views]),
        warped_valid=stacked([view.warped_valid for view in views]),
        nearest=stacked(photos),
        swept_depth=stacked([view.swept.depth for view in views]),
        swept_cost=stacked([view.swept.cost for view in views]),
        swept=stacked([view.swept.warped for view in views]),
        swept_valid=stacked([view.swept.valid for view in views]),
        surface_gap=stacked([view.surface.gap for view in views]),
        surface_error=stacked([view.surface.error for view in views]),
    )
