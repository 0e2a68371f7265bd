"""The base of every stage's config, and its fields from YAML files and other nested mappings."""

import errno
import math
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from tasks.errors import InputError


class SetBy(Enum):
    """Whether the manifest of a dataset may set a field: ``Annotated[str, SetBy.INSIDE]``.

    Numbers within bounds and choices may be set by it where nothing else is said. Every field of
    text says it, so that no name of a file, a model or a server is overlooked.
    """

    FREELY = "yes"
    INSIDE = "inside its folder"
    """A path, in the scene's folder or one of UNSEEN_PHOTO_ROOTS."""
    LISTED = "if listed"
    """A model that the machine's owner lists in UNSEEN_MODELS or UNSEEN_TRUSTED_CODE."""
    OWNER = "no"
    """What protects the machine."""


def _title(model: type) -> str:
    """What Prefect's form calls a part: 'Splat' for SplatConfig, 'Every nth' for EveryNth."""
    name = model.__name__.removesuffix("Config")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


class Config(BaseModel):
    """Frozen and closed: a config is part of a cache key, and a typo in one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", model_title_generator=_title)


def _require_kind(schema: dict[str, Any]) -> None:
    schema["required"] = ["kind", *schema.get("required", [])]


class Alternative(Config):
    """One of several kinds of a config, told apart by its field ``kind``.

    ``kind`` has a default for us and is required in the schema: without it Prefect's form would let
    a choice pass that then fails in the run.
    """

    model_config = ConfigDict(json_schema_extra=_require_kind)


ConfigT = TypeVar("ConfigT", bound=Config)


def with_file(base: ConfigT, file: Path) -> ConfigT:
    """``base`` with the fields that a YAML file sets.

    Raises:
        InputError: no such file, not YAML, an unknown field or a value out of bounds.
    """
    return overridden(base, read_yaml(file), where=f"the config in '{file}'")


LARGEST_YAML = 16 << 20
"""Bytes: a manifest of a hundred thousand scenes is smaller."""
LONGEST_SHOWN = 300
"""Characters of a wrong value in an error."""
MOST_NODES = 4_000_000
"""Values of a YAML file, those behind aliases counted wherever they stand: a few lines of aliases
of aliases stand for more than any memory holds."""


def read_yaml(file: Path) -> Any:
    """The content of a YAML file, which nobody need vouch for.

    Raises:
        InputError: no such file, not YAML, or too large once its aliases are written out.
    """
    try:
        if file.exists() and not file.is_file():
            raise OSError(errno.EINVAL, "not a regular file")
        with file.open("rb") as opened:
            content = opened.read(LARGEST_YAML + 1)
    except OSError as error:
        raise InputError(f"'{file}' cannot be read ({error.strerror}); check the path") from error
    if len(content) > LARGEST_YAML:
        raise InputError(f"'{file}' has more than {LARGEST_YAML >> 20} MiB; divide the dataset")
    try:
        return _loaded(content.decode("utf-8-sig"))
    except Exception as error:  # the loader raises whatever broken values lead it to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"'{file}' is not YAML ({reason}); mend the file") from error


def _loaded(text: str) -> Any:
    """
    Raises:
        ValueError: too many values, or one that holds itself.
        Exception: the loader's.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > MOST_NODES:
            raise ValueError(f"its aliases stand for more than {MOST_NODES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, float]) -> float:
    """Number of values in a node, aliases written out; infinite for one that holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1.0 + len(node.value) / 64
    if id(node) not in known:
        known[id(node)] = math.inf  # met again below itself
        mapping = isinstance(node, yaml.MappingNode)
        parts = [part for pair in node.value for part in pair] if mapping else node.value
        known[id(node)] = 1.0 + sum(_count(part, known) for part in parts)
    return known[id(node)]


def overridden(base: ConfigT, changes: Any, *, where: str) -> ConfigT:
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


NAMES_SHOWN = 20
"""Most names of what there is that an error lists."""


def check_names(given: Collection[str], known: Collection[str], *, where: str, kind: str) -> None:
    """Refuse names that nothing has, and suggest the nearest ones that are there.

    Args:
        given: names that a person gave.
        where: of what they should be, as the error begins: ``run 'may'``.
        kind: of what is named: ``scene``.

    Raises:
        InputError: some of the names are not among ``known``.
    """
    if unknown := sorted(set(given) - set(known)):
        names = ", ".join(map(repr, unknown))
        raise InputError(f"{where} has no {kind} {names}{nearest(unknown, known)}")


def nearest(unknown: Collection[str], known: Collection[str]) -> str:
    """End of a sentence about names that there are not: the nearest that there are, and a list."""
    close = [match for name in unknown for match in get_close_matches(name, known, n=1)]
    there = sorted(known)
    more = f" and {len(there) - NAMES_SHOWN} more" if len(there) > NAMES_SHOWN else ""
    listed = f"it has: {', '.join(there[:NAMES_SHOWN])}{more}"
    if not close:
        return f"; {listed}"
    return f", did you mean {' and '.join(map(repr, dict.fromkeys(close)))}? ({listed})"


def explained(error: ValidationError, whole: type[Config]) -> str:
    """What pydantic found, as people read it: the field's path, the fault, what was given."""
    return "; ".join(_explained(fault, whole) for fault in error.errors())


def _explained(fault: ErrorDetails, whole: type[Config]) -> str:
    path, model = _place(fault["loc"], whole)
    known = list(getattr(model, "model_fields", {}))
    if fault["type"] == "extra_forbidden":
        hint = _did_you_mean(str(fault["loc"][-1]), known) or f" (known: {', '.join(known)})"
        return f"there is no field '{path}'{hint}"
    if fault["type"] == "missing":
        return f"'{path}' is missing"
    if fault["type"] == "union_tag_invalid":
        kinds = fault["ctx"]["expected_tags"]
        given = str(fault["ctx"]["tag"])
        hint = _did_you_mean(given, kinds.replace("'", "").split(", "))
        return f"'{path}.kind' is {given!r}: it should be one of {kinds}{hint}"
    message, hint = fault["msg"], ""
    if fault["type"] == "literal_error":
        choices = fault["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        hint = _did_you_mean(str(fault["input"]), choices)
    given = repr(fault["input"])
    if len(given) > LONGEST_SHOWN:
        given = f"{given[:LONGEST_SHOWN]}..."
    return f"'{path}' is {given}: {message[0].lower()}{message[1:]}{hint}"


def _did_you_mean(given: str, known: Collection[str]) -> str:
    close = get_close_matches(given, known, n=1)
    return f", did you mean '{close[0]}'?" if close else ""


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
