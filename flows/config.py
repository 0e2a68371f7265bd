"""Everything that changes results: the model behind Prefect's forms, ``--help`` and YAML files."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar, get_args

import yaml
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from tasks.config import Config
from tasks.distil.config import DistilConfig
from tasks.distil.task import CONTROL, DISTIL
from tasks.errors import InputError
from tasks.evaluate.task import EVALUATE
from tasks.ingest.config import IngestConfig
from tasks.ingest.task import INGEST
from tasks.refine.config import RefineConfig
from tasks.refine.task import REFINE
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
    splat: SplatConfig = SplatConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    views: ViewsConfig = ViewsConfig()
    refine: RefineConfig = RefineConfig()
    distil: DistilConfig = DistilConfig()

    def ensemble_splats(self, training_photos: int) -> tuple[SplatConfig, ...]:
        """The config of each ensemble member; none where views are refined jointly."""
        if not self.stages.runs(ENSEMBLE) or self.refine.joint is not None:
            return ()
        return ensemble_of(self.splat, self.ensemble, training_photos)


Whole = TypeVar("Whole", bound=Config)
"""The config of a scene, or of another piece of work."""


def read_config(file: Path) -> SceneConfig:
    """A scene's config from a YAML file; what the file leaves out is as we have it.

    Raises:
        InputError: no such file, not YAML, an unknown field or a value out of bounds.
    """
    return with_file(SceneConfig(), file)


def with_file(base: Whole, file: Path) -> Whole:
    """``base`` with the fields that a YAML file sets.

    Raises:
        InputError: no such file, not YAML, an unknown field or a value out of bounds.
    """
    return overridden(base, read_yaml(file), where=f"the config in '{file}'")


def read_yaml(file: Path) -> Any:
    """The content of a YAML file.

    Raises:
        InputError: no such file, or not YAML.
    """
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"'{file}' cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"'{file}' is not YAML ({reason}); mend the file") from error


def overridden(base: Whole, changes: Any, *, where: str) -> Whole:
    """``base`` with some fields set anew.

    Args:
        where: of what the fields are, as the error names it.

    Raises:
        InputError: an unknown field or a value out of bounds, named with its path.
    """
    if not isinstance(changes, Mapping | None):
        raise InputError(
            f"{where} is a {type(changes).__name__}, but fields by name are needed, such as "
            "'splat: {iterations: 4000}'"
        )
    merged = _merged(base.model_dump(), changes or {})
    try:
        return type(base).model_validate(merged)
    except ValidationError as error:
        raise InputError(f"{where} is wrong: {explained(error, type(base))}") from error


def explained(error: ValidationError, whole: type[Config]) -> str:
    """What pydantic found, as people read it: the field's path, the fault, what was given."""
    return "; ".join(_explained(fault, whole) for fault in error.errors())


def _explained(fault: ErrorDetails, whole: type[Config]) -> str:
    path, model = _place(fault["loc"], whole)
    known = list(getattr(model, "model_fields", {}))
    if fault["type"] == "extra_forbidden":
        close = get_close_matches(str(fault["loc"][-1]), known, n=1)
        hint = f", did you mean '{close[0]}'?" if close else f" (known: {', '.join(known)})"
        return f"there is no field '{path}'{hint}"
    if fault["type"] == "missing":
        return f"'{path}' is missing"
    if fault["type"] == "union_tag_invalid":
        kinds = fault["ctx"]["expected_tags"]
        return f"'{path}.kind' is {fault['ctx']['tag']!r}: it should be one of {kinds}"
    message = fault["msg"]
    return f"'{path}' is {fault['input']!r}: {message[0].lower()}{message[1:]}"


def _place(location: tuple[int | str, ...], whole: type[Config]) -> tuple[str, Any]:
    """A field's path without the kinds that pydantic puts into it, and the model it stands in."""
    names: list[str] = []
    model: Any = whole
    parent: Any = model
    for part in location:
        kinds = {
            one.model_fields["kind"].default: one
            for one in get_args(model)
            if "kind" in getattr(one, "model_fields", {})
        }
        if part in kinds:
            model = kinds[part]
            continue
        names.append(str(part))
        parent = model
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
        if NoneType in get_args(model):
            model = next(one for one in get_args(model) if one is not NoneType)
    return ".".join(names), parent


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields are merged; another kind of an alternative replaces the whole of it."""
    merged = dict(base)
    for name, value in changes.items():
        known = base.get(name)
        if not isinstance(known, Mapping):
            merged[name] = value
        elif isinstance(value, Mapping) and value.get("kind", known.get("kind")) == known.get(
            "kind"
        ):
            merged[name] = _merged(known, value)
        elif value is not None:  # YAML's 'splat:' with nothing below it changes nothing
            merged[name] = value
    return merged
