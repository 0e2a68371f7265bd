"""Everything that changes results: the model behind Prefect's forms, ``--help`` and YAML files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from tasks.config import Config
from tasks.errors import InputError
from tasks.ingest.config import IngestConfig
from tasks.sfm.config import SfmConfig
from tasks.splat.config import EveryNth, SplatConfig, TrainOn


class SceneConfig(Config):
    """Everything that changes a scene's results."""

    ingest: IngestConfig = IngestConfig()
    sfm: SfmConfig = SfmConfig()
    split: Annotated[EveryNth | TrainOn, Field(discriminator="kind")] = EveryNth()
    splat: SplatConfig = SplatConfig()


def read_config(file: Path | None, base: SceneConfig | None = None) -> SceneConfig:
    """A config from a YAML file; what the file leaves out is as in ``base``.

    Raises:
        InputError: no such file, not YAML, an unknown field or a value out of bounds.
    """
    base = base or SceneConfig()
    if file is None:
        return base
    return overridden(base, read_yaml(file), where=str(file))


def read_yaml(file: Path) -> Any:
    """The content of a YAML file.

    Raises:
        InputError: no such file, or not YAML.
    """
    try:
        return yaml.safe_load(file.read_text())
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file} is not YAML ({reason}); mend the file") from error


def overridden(base: SceneConfig, changes: Any, *, where: str) -> SceneConfig:
    """``base`` with some fields set anew.

    Raises:
        InputError: an unknown field or a value out of bounds, named with its path.
    """
    if not isinstance(changes, Mapping | None):
        raise InputError(
            f"the config of {where} is a {type(changes).__name__}, but fields by name are needed, "
            "such as 'splat: {iterations: 4000}'"
        )
    merged = _merged(base.model_dump(), changes or {})
    try:
        return SceneConfig.model_validate(merged)
    except ValidationError as error:
        raise InputError(f"the config of {where} is wrong: {explained(error)}") from error


def explained(error: ValidationError) -> str:
    """What pydantic found, as people read it: the field's path, the fault, what was given."""
    faults = []
    for fault in error.errors():
        path = ".".join(str(part) for part in fault["loc"] if part not in ("every_nth", "train_on"))
        if fault["type"] == "extra_forbidden":
            faults.append(f"there is no field '{path}'{_nearest(fault['loc'])}")
        else:
            faults.append(f"'{path}' is {fault['input']!r}: {fault['msg'].lower()}")
    return "; ".join(faults)


def _nearest(location: tuple[int | str, ...]) -> str:
    """The field that was probably meant."""
    from difflib import get_close_matches

    model: Any = SceneConfig
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
    known = list(getattr(model, "model_fields", {}))
    close = get_close_matches(str(location[-1]), known, n=1)
    return f", did you mean '{close[0]}'?" if close else f" (known: {', '.join(known)})"


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested fields are merged; another kind of an alternative replaces the whole of it."""
    merged = dict(base)
    for name, value in changes.items():
        known = base.get(name)
        same_kind = (
            isinstance(known, Mapping)
            and isinstance(value, Mapping)
            and value.get("kind", known.get("kind")) == known.get("kind")
        )
        merged[name] = _merged(known, value) if same_kind else value  # type: ignore[arg-type]
    return merged
