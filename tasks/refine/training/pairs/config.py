"""Options of the pairs stage."""

from typing import Annotated

from pydantic import Field

from tasks.config import Config
from tasks.depth.config import SweepConfig
from tasks.splat.config import SplatConfig

Size = Annotated[int, Field(ge=2, le=1000)]
Share = Annotated[float, Field(gt=0, le=1)]


class NoiseConfig(Config):
    """Largest perturbation of a fitted splat, to imitate a poor fit; the amount is random."""

    shift: float = Field(
        default=0.5,
        ge=0,
        description="Standard deviation of a Gaussian's shift, in units of its own scales.",
    )
    stretch: float = Field(
        default=0.3, ge=0, description="Standard deviation of the change of log scales."
    )
    fade: float = Field(
        default=1.0, ge=0, description="Standard deviation of the change of opacity logits."
    )
    dropped: float = Field(default=0.3, ge=0, lt=1, description="Fraction of Gaussians removed.")


class PairsConfig(Config):
    """Splats fitted to a few of a scene's photos, and the withheld photos they are paired with.

    The defaults give 40 pairs from two fits for a scene of 20 photos.
    """

    subsets: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="Number of splats fitted, each to a few photos of the scene.",
    )
    sizes: tuple[Size, ...] = Field(
        default=(3, 4, 6, 9),
        min_length=1,
        description="Numbers of photos of a fit, cycled through in a shuffled order; numbers that "
        "withhold no photo of the scene are skipped.",
    )
    runs: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Fraction of the subsets whose photos are neighbours in the order of names; "
        "the others spread over the scene.",
    )
    shares: tuple[Share, ...] = Field(
        default=(0.25, 0.5, 1.0),
        min_length=1,
        description="Fractions of the iterations at which a splat is rendered.",
    )
    noisy: int = Field(
        default=1, ge=0, le=100, description="Number of perturbed copies of a fitted splat."
    )
    noise: NoiseConfig = NoiseConfig()
    views: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Maximum number of withheld photos that each splat is rendered at.",
    )
    min_seen: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Minimum fraction of a withheld photo that the training photos show.",
    )
    sources: int = Field(
        default=3, ge=1, le=8, description="Number of photos that each view is compared with."
    )
    sweep: SweepConfig = SweepConfig()
    splat: SplatConfig = Field(
        default=SplatConfig(iterations=1000, max_size=480),
        description="Options of the fits; pairs have the size 'max_size'.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the subsets and of the perturbation.")
