"""Options of dense depth maps and points, and of a plane sweep."""

from typing import Literal

from pydantic import Field

from tasks.config import Alternative, Config


class DenseConfig(Alternative):
    """Initialise from swept depths of the training photos, beside their triangulated points."""

    kind: Literal["dense"] = "dense"

    coarse_size: int = Field(
        default=320,
        ge=32,
        le=4096,
        description="Longest edge of the photos at which the full depth range is swept, px.",
    )
    neighbours: int = Field(
        default=4,
        ge=1,
        le=16,
        description="Maximum number of photos that each photo is compared with.",
    )
    max_planes: int = Field(
        default=128, ge=16, le=512, description="Maximum number of depth hypotheses per pixel."
    )
    min_correlation: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="Minimum correlation of the photos at a depth that is kept.",
    )
    tolerance: float = Field(
        default=0.015,
        gt=0,
        lt=1,
        description="Maximum relative difference of two depth maps that agree at a point.",
    )
    tolerance_px: float = Field(
        default=1.5,
        gt=0,
        description="Maximum reprojection error, by way of another photo's depth map and back, of "
        "a pixel at which the maps agree, px.",
    )
    max_points: int = Field(
        default=30_000,
        ge=0,
        le=10_000_000,
        description="Maximum number of points; a larger cloud is thinned evenly.",
    )
    point_step: int = Field(
        default=2, ge=1, le=64, description="Spacing of the points in a photo, px."
    )


class SweepConfig(Config):
    """Search around the rendered depth for the depth at which the photos agree."""

    reach: float = Field(
        default=0.25,
        gt=0,
        lt=1,
        description="Relative range of depths searched on either side of the rendered depth.",
    )
    planes: int = Field(
        default=51,
        ge=3,
        le=501,
        description="Number of depths, evenly spaced, in the search at half resolution.",
    )
    radius: int = Field(
        default=3,
        ge=0,
        le=15,
        description="Radius of the square window over which the photos' difference is averaged, "
        "px.",
    )
    distance_penalty: float = Field(
        default=0.16,
        ge=0,
        description="Penalty on the relative distance from the rendered depth, added to the "
        "photos' difference (images in [0, 1]).",
    )
