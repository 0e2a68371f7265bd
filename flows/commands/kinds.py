"""Alternatives chosen on the command line: ``--split.kind train_on --split.photos a.jpg b.jpg``.

The parser offers the options of the alternative that a config holds, so the choice comes first.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar, get_args

from tasks.config import Alternative, Config, nearest
from tasks.errors import InputError

ConfigT = TypeVar("ConfigT", bound=Config)


def with_kinds(base: ConfigT, words: Sequence[str]) -> ConfigT:
    """``base`` with the alternatives that the words choose, at their defaults.

    One of the kind that ``base`` has already keeps its fields. Fields without a default are not
    set: the parser demands them.

    Raises:
        InputError: no alternative is of that kind.
    """
    for path, kind in _chosen(words):
        base = _with_kind(base, path.replace("-", "_").split("."), kind, path)
    return base


def kinds_beside(base: Config) -> dict[type[Config], tuple[str, ...]]:
    """Of each alternative that ``base`` holds: the kinds that could stand in its place."""
    found: dict[type[Config], tuple[str, ...]] = {}
    for field in type(base).model_fields:
        held = getattr(base, field, None)
        if isinstance(held, Config):
            found |= kinds_beside(held) | {type(held): tuple(_alternatives(base, field))}
    return found


def _chosen(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The path of each alternative, and its kind."""
    for word, following in pairwise([*words, ""]):
        option, sign, value = word.partition("=")
        if option.startswith("--") and option.endswith(".kind"):
            path = option.removeprefix("--").removesuffix(".kind")
            yield path, value if sign else following


def _with_kind(config: ConfigT, path: Sequence[str], kind: str, whole: str) -> ConfigT:
    field, *deeper = path
    if field not in type(config).model_fields:
        return config  # the parser names the unknown option
    held = getattr(config, field)
    if deeper:
        changed = _with_kind(held, deeper, kind, whole) if isinstance(held, Config) else held
    else:
        kinds = _alternatives(config, field)
        if kinds and kind not in kinds:
            raise InputError(f"'--{whole}' has no kind '{kind}'{nearest([kind], kinds)}")
        chosen = kinds.get(kind)
        changed = held if chosen is None or isinstance(held, chosen) else chosen.model_construct()
    return config.model_copy(update={field: changed})


def _alternatives(config: Config, field: str) -> dict[str, type[Alternative]]:
    """What a field can hold, by kind; empty where it has no alternatives."""

    def members(annotation: Any) -> Iterator[type[Alternative]]:
        if isinstance(annotation, type) and issubclass(annotation, Alternative):
            yield annotation
        for part in get_args(annotation):
            yield from members(part)

    annotation = type(config).model_fields[field].annotation
    return {one.model_fields["kind"].default: one for one in members(annotation)}
