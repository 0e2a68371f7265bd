"""What changes dense depth maps and points."""

from typing import Literal

from pydantic import Field

from tasks.config import Alternative


class DenseConfig(Alternative):
    """Start from the training photos' swept depths as well as from their triangulated points."""

    kind: Literal["dense"] = "dense"

    coarse_size: int = Field(
        default=320,
        ge=32,
        le=4096,
        description="Longest edge of the photos that all depths are tried in, px.",
    )
    neighbours: int = Field(
        default=4, ge=1, le=16, description="Photos that each photo is compared with, at most."
    )
    max_planes: int = Field(
        default=128, ge=16, le=512, description="Depths tried at a pixel, at most."
    )
    min_correlation: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="Depths are kept where the photos correlate at least so well.",
    )
    tolerance: float = Field(
        default=0.015,
        gt=0,
        lt=1,
        description="Share of its depth by which another photo's map may differ and agree.",
    )
    tolerance_px: float = Field(
        default=1.5,
        gt=0,
        description="Distance from a pixel at which it may come back by way of another photo's "
        "map and agree, px.",
    )
    max_points: int = Field(
        default=30_000, ge=0, le=10_000_000, description="Points, at most; thinned evenly."
    )
    point_step: int = Field(
        default=2, ge=1, le=64, description="Pixels between the points of a photo."
    )
