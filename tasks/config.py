"""The base of every stage's config."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict


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
