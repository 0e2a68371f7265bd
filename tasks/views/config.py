"""Options of the views stage."""

from pydantic import Field

from tasks.config import Config
from tasks.depth.config import SweepConfig


class ViewsConfig(Config):
    """Poses of the novel views, and the photos that each is compared with."""

    count: int = Field(default=24, ge=1, le=10_000, description="Maximum number of novel views.")
    steps: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Number of poses interpolated between two neighbouring photos.",
    )
    beyond: bool = Field(default=True, description="Extrapolate poses beyond the outermost photos.")
    rounds: int = Field(
        default=2,
        ge=1,
        le=20,
        description="Maximum number of steps beyond a photo, each of half the cameras' spacing.",
    )
    gate: float = Field(
        default=0.7,
        ge=0,
        description="Minimum mean confidence of an extrapolated view, as a fraction of the median "
        "over the interpolated views.",
    )
    sources: int = Field(
        default=3, ge=1, le=8, description="Number of photos that each view is compared with."
    )
    sweep: SweepConfig = SweepConfig()
