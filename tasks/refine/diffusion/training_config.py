"""What changes the small diffusion model: its shape, and how it is trained."""

from typing import Literal

from pydantic import Field

from tasks.config import Config
from tasks.refine.config import FeaturesConfig
from tasks.refine.training.config import TrainConfig


class SmallShape(Config):
    """The shape of the model; it travels with the weights."""

    widths: tuple[int, ...] = Field(
        default=(32, 64, 96),
        min_length=1,
        max_length=6,
        description="Channels at half the size, at a quarter, and so on; multiples of 8.",
    )
    layers: int = Field(default=1, ge=1, le=8, description="Residual blocks of a size.")
    steps_of_all: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="Steps from noise to a picture; a repair is the last.",
    )
    features: FeaturesConfig = FeaturesConfig()


class TrainControlNet(TrainConfig):
    """The refiner `controlnet`: a small diffusion model that sees all there is of a view."""

    kind: Literal["controlnet"] = "controlnet"
    shape: SmallShape = SmallShape()
    repair_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Of the crops, those that are repaired in the one last step; the others are "
        "photos with as much noise as any step finds.",
    )

    @property
    def features(self) -> FeaturesConfig:
        return self.shape.features
