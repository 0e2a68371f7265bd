"""Parsing of the command line: a command, with options from a file and from words."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

import tyro
from pydantic.fields import FieldInfo
from tyro.constructors import (
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from flows.commands.common_options import HELP_ALL, shown_options
from flows.commands.kinds import kinds_beside, with_kinds
from flows.config import SceneConfig
from tasks.config import Config, overridden, with_file
from tasks.errors import InputError

CONFIG_OPTION = "--config"


def parse(commands: Mapping[str, Callable[..., None]], words: Sequence[str]) -> Callable[[], None]:
    """The command in the words, bound to its arguments.

    Fields of a command's ``config`` come from the options, then from the file after ``--config``,
    then from the defaults.

    Raises:
        InputError: the file cannot be read, or a value is out of bounds.
        SystemExit: after printing help, or a usage error.
    """
    file = _word_after(CONFIG_OPTION, words)
    registry = ConstructorRegistry()
    base = _config_of(commands.get(words[0]) if words else None)
    base = with_file(base, Path(file)) if file else base
    base = with_kinds(base, words)
    registry.struct_rule(_unchecked(base, shown_options(base, words)))
    with registry:
        command: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
            {name: _held_back(command) for name, command in commands.items()},
            prog="unseen",
            args=["--help" if word == HELP_ALL else word for word in words],
            description="Camera poses, Gaussian splats and refined novel views from folders of "
            "photos, with an evaluation of each.",
        )
    return command


def _config_of(command: Callable[..., None] | None) -> Config:
    """The default config of a command."""
    parameters = signature(command).parameters if command else {}
    default = parameters["config"].default if "config" in parameters else None
    return default if isinstance(default, Config) else SceneConfig()


def _held_back(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """``command`` deferred: the parser's call checks the config and returns the call to make."""

    @functools.wraps(command)
    def hold(**arguments: Any) -> Callable[[], None]:
        for name, value in arguments.items():
            if isinstance(value, Config):
                fields = value.model_dump(warnings=False)
                arguments[name] = overridden(type(value)(), fields, where="the command line")
        return functools.partial(command, **arguments)

    return hold


def _unchecked(
    base: Config, shown: Collection[tuple[type[Config], str]] | None
) -> Callable[[StructTypeInfo], StructConstructorSpec | None]:
    """A rule by which the parser builds configs with the defaults of ``base``, without validation.

    The parser would wrap validation errors in words of its own; the whole is validated afterwards.

    Args:
        shown: class and name of the fields that the help shows; None for all.
    """

    kinds = kinds_beside(base)

    def rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        model = info.type
        if not (isinstance(model, type) and issubclass(model, Config)):
            return None
        defaults = base if isinstance(base, model) else info.default
        hints = get_type_hints(model, include_extras=True)

        def shown_type(model: type[Config], name: str) -> Any:
            nested = isinstance(getattr(defaults, name, None), Config)
            if shown is None or nested or (model, name) in shown:
                return hints[name]
            hidden: Any = tyro.conf.Suppress
            return hidden[hints[name]]

        def help_of(model: type[Config], name: str, field: FieldInfo) -> str | None:
            others = kinds.get(model, ()) if name == "kind" else ()
            return f"One of: {', '.join(others)}." if len(others) > 1 else field.description

        def build(**fields: Any) -> Config:
            return model.model_construct(**fields)

        build.__doc__ = model.__doc__
        fields = [
            StructFieldSpec(
                name=name,
                type=shown_type(model, name),
                default=getattr(defaults, name, _default_of(field)),
                helptext=help_of(model, name, field),
            )
            for name, field in model.model_fields.items()
        ]
        return StructConstructorSpec(instantiate=build, fields=tuple(fields))

    return rule


def _default_of(field: FieldInfo) -> Any:
    return tyro.MISSING_NONPROP if field.is_required() else field.get_default()


def _word_after(option: str, words: Sequence[str]) -> str | None:
    """The value of an option that sets the defaults of others, read before parsing."""
    value = None
    for index, word in enumerate(words):
        if word == option:
            if index + 1 == len(words):
                raise InputError(f"{option} is the last word; name a YAML file after it")
            value = words[index + 1]
        elif word.startswith(f"{option}="):
            value = word.removeprefix(f"{option}=")
    return value
