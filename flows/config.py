"""Options that change results: the models behind Prefect's forms, ``--help`` and YAML files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from tasks.config import Config, SetBy, with_file
from tasks.distil.config import DistilConfig
from tasks.distil.task import CONTROL, DISTIL
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.task import EVALUATE
from tasks.ingest.config import IngestConfig
from tasks.ingest.task import INGEST
from tasks.refine.config import RefineConfig
from tasks.refine.diffusion.training_config import TrainControlNet
from tasks.refine.residual.config import TrainResidual
from tasks.refine.task import REFINE
from tasks.refine.training.pairs.config import PairsConfig
from tasks.sfm.config import SfmConfig
from tasks.sfm.task import SFM
from tasks.splat.config import EveryNth, SplatConfig, TrainOn
from tasks.splat.ensemble import EnsembleConfig, ensemble_of
from tasks.splat.task import ENSEMBLE, SPLAT
from tasks.stage import Stage
from tasks.views.config import ViewsConfig
from tasks.views.task import VIEWS

STAGES = (INGEST, SFM, SPLAT, ENSEMBLE, VIEWS, REFINE, CONTROL, DISTIL, EVALUATE)
"""The stages of a scene, in the order in which they run."""

if TYPE_CHECKING:
    StageName: TypeAlias = str
    OptionalStage: TypeAlias = str
else:  # the choices of forms, --help and errors
    StageName = Literal[tuple(stage.name for stage in STAGES)]
    OptionalStage = Literal[tuple(stage.name for stage in STAGES if stage.optional)]


class StagesConfig(Config):
    """Which stages run."""

    until: StageName = Field(default=STAGES[-1].name, description="Last stage to run.")
    without: tuple[OptionalStage, ...] = Field(
        default=(), description="Stages to leave out, with all that need their results."
    )

    def runs(self, stage: Stage) -> bool:
        """Whether the stage runs."""
        names = [one.name for one in STAGES]
        return names.index(stage.name) <= names.index(self.until) and not self._left_out(stage)

    def _left_out(self, stage: Stage) -> bool:
        needed = next((one for one in STAGES if one.name == stage.needs), None)
        return stage.name in self.without or (needed is not None and self._left_out(needed))


class SceneConfig(Config):
    """Everything that changes a scene's results."""

    stages: StagesConfig = StagesConfig()
    ingest: IngestConfig = IngestConfig()
    sfm: SfmConfig = SfmConfig()
    split: Annotated[
        EveryNth | TrainOn,
        Field(discriminator="kind", description="Which photos are held out, to score against."),
    ] = EveryNth()
    protocol: Literal["shared-poses", "own-poses"] = Field(
        default="shared-poses",
        description="Photos that poses come from. 'shared-poses': all, held-out ones included, "
        "which lend nothing else; 'own-poses': the training photos alone, and held-out ones are "
        "localised afterwards against the finished model.",
    )
    splat: SplatConfig = SplatConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    views: ViewsConfig = ViewsConfig()
    refine: RefineConfig = RefineConfig()
    distil: DistilConfig = DistilConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    def ensemble_splats(self, training_photos: int) -> tuple[SplatConfig, ...]:
        """The config of each ensemble member; none where views are refined jointly."""
        if not self.stages.runs(ENSEMBLE) or self.refine.joint is not None:
            return ()
        return ensemble_of(self.splat, self.ensemble, training_photos)


def read_config(file: Path) -> SceneConfig:
    """A scene's config from a YAML file; fields that the file omits keep their defaults.

    Raises:
        InputError: no such file, not YAML, an unknown field or a value out of bounds.
    """
    return with_file(SceneConfig(), file)


class ValidationConfig(Config):
    """Scenes withheld from training, on which the refiner is validated."""

    share: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Fraction of the scenes, drawn at random; at least one scene unless 0. Ignored "
        "if 'scenes' is set.",
    )
    scenes: Annotated[tuple[str, ...], SetBy.OWNER] = Field(
        default=(), description="Names of the validation scenes."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the random choice.")


class RefinerConfig(Config):
    """Options that change a trained refiner; a dataset sets none of them."""

    ingest: IngestConfig = IngestConfig()
    sfm: SfmConfig = Field(
        default=SfmConfig(),
        description="Camera poses. With 'poses' = 'auto', cameras that come with the photos are "
        "used, those of cameras_gt.json included.",
    )
    pairs: PairsConfig = PairsConfig()
    subsets: Annotated[dict[str, Annotated[int, Field(ge=1, le=1000)]], SetBy.OWNER] = Field(
        default={},
        description="Number of training subsets of individual scenes, by name, in place of "
        "'pairs.subsets': a few real scenes can contribute more pairs.",
    )
    validation: ValidationConfig = ValidationConfig()
    train: Annotated[TrainResidual | TrainControlNet, Field(discriminator="kind")] = TrainResidual()

    def pairs_of(self, scene: str) -> PairsConfig:
        """The config of a scene's pairs."""
        subsets = self.subsets.get(scene, self.pairs.subsets)
        return self.pairs.model_copy(update={"subsets": subsets})
