"""Options of the training of any refiner."""

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from tasks.config import Alternative
from tasks.refine.config import FeaturesConfig

Width = Annotated[int, Field(ge=1, le=4096)]
"""Channels at one resolution of a network."""


class Steps(Alternative):
    """Number of steps: bitwise reproducible on the CPU, also after interruptions."""

    kind: Literal["steps"] = "steps"
    count: int = Field(default=6000, ge=1, le=10_000_000)


class Minutes(Alternative):
    """Training time: the number of steps, and so the weights, depend on the machine."""

    kind: Literal["minutes"] = "minutes"
    minutes: float = Field(default=80.0, gt=0, le=100_000)


class TrainConfig(Alternative):
    """Options that the trainings of all refiners share."""

    length: Annotated[Steps | Minutes, Field(discriminator="kind")] = Minutes()
    batch: int = Field(
        default=8, ge=1, le=1024, description="Crops per step, each of another view."
    )
    crop: int = Field(default=128, ge=16, le=4096, description="Edge of a crop, px.")
    crops: int = Field(
        default=16,
        ge=1,
        le=1024,
        description="Crops taken of each view that is read, over as many steps: reading is slow.",
    )
    precision: Literal["single", "bfloat16"] = Field(
        default="single",
        description="Precision of convolutions. 'bfloat16' takes two thirds of the time on GPUs "
        "and CPUs that support it, and longer on others. Weights are single.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    warm_up: float = Field(
        default=0.03,
        ge=0,
        lt=1,
        description="Fraction of the training over which the learning rate rises.",
    )
    detail_weight: float = Field(
        default=0.1,
        ge=0,
        description="Weight of the image gradients' difference, beside squared errors.",
    )
    averaging: float = Field(
        default=0.998,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights, per step.",
    )
    validations: int = Field(
        default=8, ge=1, le=1000, description="Number of validations during the training."
    )
    validation_views: int = Field(
        default=32, ge=1, le=100_000, description="Maximum number of views per validation."
    )
    seed: int = Field(
        default=0, ge=0, description="Seed of the initial weights, crops and augmentation."
    )

    @property
    @abstractmethod
    def features(self) -> FeaturesConfig:
        """Inputs of the network."""
