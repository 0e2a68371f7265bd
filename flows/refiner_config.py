"""Everything that changes a trained refiner: for Prefect's form, ``--help`` and YAML files."""

from typing import Annotated

from pydantic import Field

from tasks.config import Config
from tasks.ingest.config import IngestConfig
from tasks.refine.diffusion.training_config import TrainControlNet
from tasks.refine.residual.config import TrainResidual
from tasks.refine.training.pairs.config import PairsConfig
from tasks.sfm.config import SfmConfig


class ValidationConfig(Config):
    """Scenes that the refiner does not learn from, so that they tell how it does on others."""

    share: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of the scenes, drawn; one at least, unless it is 0. Of no effect where "
        "'scenes' names some.",
    )
    scenes: tuple[str, ...] = Field(default=(), description="Their names.")
    seed: int = Field(default=0, ge=0, description="Of the draw.")


class RefinerConfig(Config):
    """Everything that changes a trained refiner."""

    ingest: IngestConfig = IngestConfig()
    sfm: SfmConfig = Field(
        default=SfmConfig(),
        description="Where 'poses' is 'auto', cameras that come with the photos are taken, those "
        "of cameras_gt.json too.",
    )
    pairs: PairsConfig = PairsConfig()
    subsets: dict[str, Annotated[int, Field(ge=1, le=1000)]] = Field(
        default={},
        description="Subsets of some scenes, by name, instead of 'pairs.subsets': real scenes are "
        "few, and give the more of them.",
    )
    validation: ValidationConfig = ValidationConfig()
    train: Annotated[TrainResidual | TrainControlNet, Field(discriminator="kind")] = TrainResidual()

    def pairs_of(self, scene: str) -> PairsConfig:
        """What changes the pairs of a scene."""
        subsets = self.subsets.get(scene, self.pairs.subsets)
        return self.pairs.model_copy(update={"subsets": subsets})
