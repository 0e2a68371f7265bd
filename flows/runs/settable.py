"""Which fields of a config a dataset may set."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tasks.config import Config, SetBy
from tasks.errors import InputError


def by_dataset(field: FieldInfo) -> SetBy:
    """Whether a dataset may set a field."""
    return _statement(field) or SetBy.FREELY


def refuse_fields_of_the_owner(changes: Any, whole: type[Config], *, where: str) -> None:
    """Refuse what a dataset may not set; unknown fields are for the validation to find.

    Args:
        changes: nested fields, as a manifest gives them.
        whole: the config that they change.
        where: of what the fields are, as the error names it.

    Raises:
        InputError: there is a field of the machine's owner.
    """
    if found := next(_of_the_owner(changes, (whole,), ""), None):
        raise InputError(
            f"{where} sets '{found}', which protects the machine and is its owner's alone to set; "
            "remove it there, and give it on the command line, or in the file after --config"
        )


def unstated(whole: type[BaseModel]) -> tuple[str, ...]:
    """Fields of text that do not say whether a dataset may set them, as ``Model.field``."""
    return tuple(
        f"{model.__name__}.{name}"
        for model in models_in(whole)
        for name, field in model.model_fields.items()
        if _holds_text(field.annotation) and _statement(field) is None
    )


def models_in(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Every model that a value of the type may hold, at any depth, each once."""
    found: dict[type[BaseModel], None] = {}

    def walk(one: Any) -> None:
        if isinstance(one, type) and issubclass(one, BaseModel):
            if one not in found:
                found[one] = None
                for field in one.model_fields.values():
                    walk(field.annotation)
            return
        for part in get_args(one):
            walk(part)

    walk(annotation)
    return tuple(found)


def _statement(field: FieldInfo) -> SetBy | None:
    return next((one for one in field.metadata if isinstance(one, SetBy)), None)


def _of_the_owner(changes: Any, models: tuple[type[BaseModel], ...], path: str) -> Iterator[str]:
    """Paths of the owner's fields among the changes.

    Args:
        models: that the changes may be of; where a kind is not given, all kinds.
    """
    if not isinstance(changes, Mapping):
        return
    for name, value in changes.items():
        fields = [one.model_fields[str(name)] for one in models if str(name) in one.model_fields]
        if any(by_dataset(field) is SetBy.OWNER for field in fields):
            yield f"{path}{name}"
        below = tuple(model for field in fields for model in _alternatives(field.annotation))
        yield from _of_the_owner(value, below, f"{path}{name}.")


def _alternatives(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models of a field: its own, or those of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return tuple(model for one in get_args(annotation) for model in _alternatives(one))
    return ()


def _holds_text(annotation: Any) -> bool:
    """Whether a value may be, or hold, text or a path; not one of several choices."""
    if isinstance(annotation, type):
        return issubclass(annotation, str | bytes | Path)
    if annotation is Any:
        return True
    origin = get_origin(annotation)
    return origin is not None and any(
        _holds_text(one) for one in get_args(annotation) if not isinstance(one, str)
    )
