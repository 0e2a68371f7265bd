"""What changes a plane sweep."""

from pydantic import Field

from tasks.config import Config


class SweepConfig(Config):
    """How the depths around the rendered one are searched for where the photos agree."""

    reach: float = Field(
        default=0.25,
        gt=0,
        lt=1,
        description="Depths up to this share nearer and farther than the rendered depth are tried.",
    )
    planes: int = Field(
        default=51, ge=3, le=501, description="Depths tried, evenly spaced, at half the size."
    )
    radius: int = Field(
        default=3,
        ge=0,
        le=15,
        description="Disagreement is averaged over the square so far around a pixel, px.",
    )
    distance_penalty: float = Field(
        default=0.16,
        ge=0,
        description="Disagreement, of images in [0, 1], by which a depth must be better for each "
        "unit of relative distance from the rendered depth.",
    )
