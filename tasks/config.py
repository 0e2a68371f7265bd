"""The base of every stage's config."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Frozen and closed: a config is part of a cache key, and a typo in one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
