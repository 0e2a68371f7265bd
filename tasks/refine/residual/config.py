"""What changes the residual refiner: its shape, and how it is trained."""

from typing import Literal

from pydantic import Field

from tasks.refine.config import FeaturesConfig
from tasks.refine.training.config import TrainConfig


class NetworkConfig(FeaturesConfig):
    """The shape of the residual network; it travels with the weights."""

    widths: tuple[int, ...] = Field(
        default=(32, 64, 96, 128),
        min_length=1,
        max_length=6,
        description="Channels at half the size, at a quarter, and so on.",
    )
    blocks: int = Field(
        default=1, ge=1, le=8, description="Residual blocks of a size, on the way down and up."
    )


class TrainResidual(TrainConfig):
    """The refiner `residual`: a small network that repairs views at once."""

    kind: Literal["residual"] = "residual"
    network: NetworkConfig = NetworkConfig()
    error_weight: float = Field(
        default=0.05, ge=0, description="Of the likelihood of the predicted errors."
    )

    @property
    def features(self) -> FeaturesConfig:
        return self.network
