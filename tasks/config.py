"""The base of every stage's config."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Frozen and closed: a config is part of a cache key, and a typo in one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _require_kind(schema: dict[str, Any]) -> None:
    schema["required"] = ["kind", *schema.get("required", [])]


class Alternative(Config):
    """One of several kinds of a config, told apart by its field ``kind``.

    ``kind`` has a default for us and is required in the schema: without it Prefect's form would let
    a choice pass that then fails in the run.
    """

    model_config = ConfigDict(json_schema_extra=_require_kind)
