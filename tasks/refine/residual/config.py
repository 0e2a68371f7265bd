"""Options of the residual refiner: the network's shape and its training."""

from typing import Literal

from pydantic import Field

from tasks.refine.config import FeaturesConfig
from tasks.refine.training.config import TrainConfig, Width


class NetworkConfig(FeaturesConfig):
    """Shape of the residual network; stored with its weights."""

    widths: tuple[Width, ...] = Field(
        default=(32, 64, 96, 128),
        min_length=1,
        max_length=6,
        description="Channels at 1/2 resolution, at 1/4, and so on.",
    )
    blocks: int = Field(
        default=1,
        ge=1,
        le=8,
        description="Residual blocks per resolution, in the encoder and in the decoder.",
    )


class TrainResidual(TrainConfig):
    """The refiner `residual`: a small network that refines views in one pass."""

    kind: Literal["residual"] = "residual"
    network: NetworkConfig = NetworkConfig()
    error_weight: float = Field(
        default=0.05, ge=0, description="Weight of the likelihood of the predicted errors."
    )

    @property
    def features(self) -> FeaturesConfig:
        return self.network
