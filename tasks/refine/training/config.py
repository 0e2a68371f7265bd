"""What changes a training of a refiner, whichever is trained."""

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from tasks.config import Alternative
from tasks.refine.config import FeaturesConfig


class Steps(Alternative):
    """A number of steps: on the CPU the same bits each time, however often it was cut off."""

    kind: Literal["steps"] = "steps"
    count: int = Field(default=6000, ge=1, le=10_000_000)


class Minutes(Alternative):
    """As many steps as the minutes allow: how many, and so the weights, is the machine's affair."""

    kind: Literal["minutes"] = "minutes"
    minutes: float = Field(default=80.0, gt=0, le=100_000)


class TrainConfig(Alternative):
    """What the trainings of all refiners have in common."""

    length: Annotated[Steps | Minutes, Field(discriminator="kind")] = Minutes()
    batch: int = Field(default=8, ge=1, le=1024, description="Crops of a step, each of a view.")
    crop: int = Field(default=128, ge=16, le=4096, description="Edge of a crop, px.")
    crops: int = Field(
        default=16,
        ge=1,
        le=1024,
        description="Crops of each view that is read, for as many steps: reading takes long.",
    )
    precision: Literal["single", "bfloat16"] = Field(
        default="single",
        description="Of convolutions; 'bfloat16' takes two thirds of the time on CPUs that have "
        "it, and GPUs, and longer on others. Weights are single.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    weight_decay: float = Field(default=1e-4, ge=0, le=1)
    warm_up: float = Field(
        default=0.03, ge=0, lt=1, description="Share of the training in which the rate rises."
    )
    detail_weight: float = Field(
        default=0.1, ge=0, description="Of the difference of gradients, beside squared errors."
    )
    averaging: float = Field(
        default=0.998, ge=0, lt=1, description="Share of the averaged weights kept in a step."
    )
    validations: int = Field(
        default=8, ge=1, le=1000, description="How often the views kept for it are scored."
    )
    validation_views: int = Field(
        default=32, ge=1, le=100_000, description="Most views that are scored each time."
    )
    seed: int = Field(default=0, ge=0, description="Of first weights, crops and augmentation.")

    @property
    @abstractmethod
    def features(self) -> FeaturesConfig:
        """What the network is shown."""
