"""What changes the novel views of a scene."""

from pydantic import Field

from tasks.config import Config
from tasks.depth.sweep_config import SweepConfig


class ViewsConfig(Config):
    """Where a splat is looked at between and beyond its photos, and with which of them."""

    count: int = Field(default=24, ge=1, le=10_000, description="Most novel views of a scene.")
    steps: int = Field(
        default=3, ge=1, le=100, description="Poses between two neighbouring photos."
    )
    beyond: bool = Field(
        default=True, description="Also look a little beyond the outermost photos."
    )
    rounds: int = Field(
        default=2,
        ge=1,
        le=20,
        description="Most steps beyond a photo, each of half the cameras' spacing.",
    )
    gate: float = Field(
        default=0.7,
        ge=0,
        description="A view beyond is kept where its mean confidence is at least this share of "
        "the median of the views between.",
    )
    sources: int = Field(
        default=3, ge=1, le=8, description="Photos that each view is compared with."
    )
    sweep: SweepConfig = SweepConfig()
