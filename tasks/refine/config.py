"""What changes a refinement."""

from typing import Literal

from pydantic import Field

from tasks.config import Alternative, Config


class Reproject(Alternative):
    """The photos, warped to where they agree, blended into the render by that agreement."""

    kind: Literal["reproject"] = "reproject"
    colour_scale: float = Field(
        default=0.08,
        gt=0,
        description="Disagreement of the photos, of images in [0, 1], at which 1 / e of their "
        "colour is taken.",
    )
    detail_scale: float = Field(
        default=0.04,
        gt=0,
        description="The same of their detail, which a wrong depth spoils first.",
    )
    detail_radius: int = Field(
        default=7, ge=0, le=100, description="Colour is the mean over the square so far around, px."
    )


class RefineConfig(Config):
    """How novel views are repaired."""

    refiner: Reproject = Reproject()
