"""Options of the small diffusion model: its shape and its training."""

from typing import Literal

from pydantic import Field

from tasks.config import Config
from tasks.refine.config import FeaturesConfig
from tasks.refine.training.config import TrainConfig, Width


class SmallShape(Config):
    """Shape of the model; stored with its weights."""

    widths: tuple[Width, ...] = Field(
        default=(32, 64, 96),
        min_length=1,
        max_length=6,
        description="Channels at 1/2 resolution, at 1/4, and so on; multiples of 8.",
    )
    layers: int = Field(default=1, ge=1, le=8, description="Residual blocks per resolution.")
    steps_of_all: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="Denoising steps from noise to a picture; refinement takes the last.",
    )
    features: FeaturesConfig = FeaturesConfig()


class TrainControlNet(TrainConfig):
    """The refiner `controlnet`: a small diffusion model conditioned on all inputs of a view."""

    kind: Literal["controlnet"] = "controlnet"
    shape: SmallShape = SmallShape()
    repair_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Fraction of the crops that are renders, refined in the last step; the others "
        "are photos with the noise of a random step.",
    )

    @property
    def features(self) -> FeaturesConfig:
        return self.shape.features
