"""Options of which pairs of photos are matched."""

from math import log2
from typing import Annotated, Literal

from pydantic import Field

from tasks.config import Alternative

Neighbours = Annotated[int, Field(ge=1, le=500)]
Similar = Annotated[
    int,
    Field(
        ge=0,
        le=200,
        description="Number of photos that each photo is matched with beside those, by their "
        "global descriptors. 0 disables it.",
    ),
]


class Exhaustive(Alternative):
    """Every pair."""

    kind: Literal["exhaustive"] = "exhaustive"


class Sequential(Alternative):
    """Neighbours in the order of names, as in a video or a walk, and similar photos further off,
    which close loops."""

    kind: Literal["sequential"] = "sequential"
    overlap: int = Field(
        default=10,
        ge=1,
        le=200,
        description="Number of following photos that each photo is matched with; also the number "
        "of doublings of the further distances 2, 4, 8, ...",
    )
    similar: Similar = 5


class Spatial(Alternative):
    """The nearest by the GPS positions in EXIF; photos without one, or with nobody near, are
    matched as with `retrieval`."""

    kind: Literal["spatial"] = "spatial"
    neighbours: Neighbours = Field(
        default=20, description="Number of nearest photos that each photo is matched with."
    )
    max_distance_m: float = Field(
        default=200.0, gt=0, le=1e5, description="Largest distance of a pair, metres."
    )
    similar: Similar = 5


class Retrieval(Alternative):
    """The most similar by global descriptors, made of the photos' local features."""

    kind: Literal["retrieval"] = "retrieval"
    neighbours: Neighbours = Field(
        default=20, description="Number of most similar photos that each photo is matched with."
    )


class Automatic(Alternative):
    """`exhaustive` for few photos; else `sequential` for the frames of a video, `spatial` where
    most photos have a GPS position of their own, `sequential` where photos that follow each other
    are similar, `retrieval` otherwise."""

    kind: Literal["auto"] = "auto"
    exhaustive_up_to: int = Field(
        default=120,
        ge=0,
        le=2000,
        description="Largest number of photos for which all pairs are matched.",
    )


PairsConfig = Annotated[
    Automatic | Exhaustive | Sequential | Spatial | Retrieval, Field(discriminator="kind")
]

LISTED_TWICE = 0.3
"""Share of the nearest photos whose own nearest ones name the pair, too."""


def expected_pairs(config: PairsConfig, photos: int) -> float:
    """About how many pairs are matched, before anything is known of the photos but their number."""
    every = photos * (photos - 1) / 2
    if isinstance(config, Exhaustive):
        return every
    if isinstance(config, Automatic):
        if photos <= config.exhaustive_up_to:
            return every
        return expected_pairs(Retrieval(), photos)
    if isinstance(config, Sequential):
        steps = config.overlap + min(config.overlap, log2(photos)) / 2 + config.similar
        return min(every, photos * steps)
    beside = config.similar if isinstance(config, Spatial) else 0
    return min(every, photos * (config.neighbours + beside) * (1 - LISTED_TWICE))
