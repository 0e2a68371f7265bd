"""What changes a refinement."""

from typing import Literal

from pydantic import Field

from tasks.config import Alternative, Config


class Reproject(Alternative):
    """The photos, warped to where they agree, blended into the render as far as they are right."""

    kind: Literal["reproject"] = "reproject"
    colour_scale: float = Field(
        default=0.5,
        gt=0,
        description="Disagreement of the photos, of images in [0, 1], at which 1 / e of their "
        "colour is taken.",
    )
    detail_scale: float = Field(
        default=0.05,
        gt=0,
        description="The same of their detail, which a wrong depth spoils first.",
    )
    gap_scale: float = Field(
        default=0.11,
        gt=0,
        description="Distance from the splat's surface, as a share of the depth, at which 1 / e of "
        "their detail is taken.",
    )
    colour_error: float = Field(
        default=0.0125,
        gt=0,
        description="Error of the splat in the photos, of images in [0, 1], at which half of their "
        "colour is taken.",
    )
    detail_error: float = Field(
        default=0.04,
        gt=0,
        description="The same at which photos that agree lend all of their detail.",
    )
    detail_radius: int = Field(
        default=16,
        ge=0,
        le=100,
        description="Colour is the mean over the square so far around, px.",
    )


class RefineConfig(Config):
    """How novel views are repaired."""

    refiner: Reproject = Reproject()
