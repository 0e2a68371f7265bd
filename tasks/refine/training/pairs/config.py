"""What changes the pairs mined from a scene."""

from typing import Annotated

from pydantic import Field

from tasks.config import Config
from tasks.depth.sweep_config import SweepConfig
from tasks.splat.config import SplatConfig

Size = Annotated[int, Field(ge=2, le=1000)]
Share = Annotated[float, Field(gt=0, le=1)]


class NoiseConfig(Config):
    """What is done to a fitted splat at most, so that it fails as others do; how much is drawn."""

    shift: float = Field(
        default=0.5, ge=0, description="Standard deviation of the shift of a Gaussian, in its own."
    )
    stretch: float = Field(
        default=0.3, ge=0, description="Standard deviation of the change of each log scale."
    )
    fade: float = Field(
        default=1.0, ge=0, description="Standard deviation of the change of a logit of opacity."
    )
    dropped: float = Field(default=0.3, ge=0, lt=1, description="Share of Gaussians left out.")


class PairsConfig(Config):
    """Which splats are fitted to a few of a scene's photos, and which others they are shown at.

    By default a scene of 20 photos gives 40 pairs of two fits.
    """

    subsets: int = Field(
        default=2, ge=1, le=1000, description="Splats fitted, each to a few photos of the scene."
    )
    sizes: tuple[Size, ...] = Field(
        default=(3, 4, 6, 9),
        min_length=1,
        description="Photos of a fit, taken in turn from a shuffled order; sizes that would leave "
        "no photo of the scene aside are passed over.",
    )
    runs: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of the subsets that are neighbours in the order of names; the others "
        "spread over the scene.",
    )
    shares: tuple[Share, ...] = Field(
        default=(0.25, 0.5, 1.0),
        min_length=1,
        description="Shares of the iterations at which a splat is looked at.",
    )
    noisy: int = Field(
        default=1, ge=0, le=100, description="Copies of a fitted splat that noise is added to."
    )
    noise: NoiseConfig = NoiseConfig()
    views: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Withheld photos, at most, that each of those splats is shown at.",
    )
    min_seen: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of a withheld photo that the training photos must show.",
    )
    sources: int = Field(
        default=3, ge=1, le=8, description="Photos that each view is compared with."
    )
    sweep: SweepConfig = SweepConfig()
    splat: SplatConfig = Field(
        default=SplatConfig(iterations=1000, max_size=480),
        description="How the splats are fitted; pairs are of the size 'max_size'.",
    )
    seed: int = Field(default=0, ge=0, description="Of the photos drawn, and of the noise.")
