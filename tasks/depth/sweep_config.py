"""Options of a plane sweep."""

from pydantic import Field

from tasks.config import Config


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
