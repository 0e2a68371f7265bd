"""Pairs of photos to match."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from tasks.sfm.pairs.config import (
    Automatic,
    PairsConfig,
    Retrieval,
    Sequential,
    Spatial,
)
from tasks.sfm.pairs.retrieval import closest, global_descriptors, nearest

Kind = Literal["exhaustive", "sequential", "spatial", "retrieval"]
Pairs = list[tuple[int, int]]

GPS_SHARE = 0.8
"""Smallest share of the photos that have a GPS position for which `auto` trusts it, and half of
them at least need one of their own: indoors, phones repeat the last position that they had."""
WALK_SHARE = 0.7
WALK_REACH = 10
"""Photos are a walk where this share of them has the one that follows among so many most similar
ones."""
SAME_PLACE_M = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Which pairs are matched, and by what they were chosen."""

    kind: Kind
    pairs: tuple[tuple[int, int], ...]
    """Index pairs ``(i, j)``, ``i < j``, in lexicographic order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Capture:
    """The photos of a scene before any two of them are matched."""

    local: Sequence[Shaped[np.ndarray, "_ d"]]
    """Descriptors of each photo's features; read only where pairs are chosen by them."""
    video: bool = False
    """Whether they are frames of videos, in their order."""
    positions_m: Float64[np.ndarray, "n 3"] | None = None
    """East, north, up; NaN where unknown."""
    mapped: Sequence[int] | None = None
    """Photos whose pairs must not depend on the others; None = all."""
    seed: int = 0

    def __len__(self) -> int:
        return len(self.local)

    @cached_property
    def descriptors(self) -> Float32[np.ndarray, "n k"]:
        """Of each photo; a mapped one's depends on no other than mapped ones."""
        return global_descriptors(self.local, learn_from=self.mapped, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Some photos of a capture; indices count in ``photos``."""

    capture: Capture
    photos: Sequence[int]

    def __len__(self) -> int:
        return len(self.photos)

    def similar(self, neighbours: int, without: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """The most similar photos of each beside those of ``without``."""
        if neighbours == 0 or len(self) < 2:
            return set()
        allowed = np.ones((len(self),) * 2, dtype=bool)
        for i, j in without:
            allowed[i, j] = allowed[j, i] = False
        return set(nearest(self.capture.descriptors[list(self.photos)], neighbours, allowed))

    @property
    def places(self) -> Float64[np.ndarray, "n 3"]:
        if self.capture.positions_m is None:
            return np.full((len(self), 3), np.nan)
        return self.capture.positions_m[list(self.photos)]

    def distance_m(self) -> Float64[np.ndarray, "n n"]:
        """Between each two photos; infinite where a position is unknown, and to itself."""
        unknown = ~np.isfinite(self.places[:, :2]).all(1)
        places = np.nan_to_num(self.places)  # an unknown height counts as the mean one
        distance = np.linalg.norm(places[:, None] - places[None], axis=2)
        distance[unknown] = distance[:, unknown] = np.inf
        np.fill_diagonal(distance, np.inf)
        return np.asarray(distance)


def choose_pairs(config: PairsConfig, capture: Capture) -> Pairing:
    """The pairs to match; photos that are not mapped are paired as if all were alike."""
    everyone = range(len(capture))
    mapped = _Part(capture=capture, photos=capture.mapped or everyone)
    kind = _kind(config, mapped)
    found = {(mapped.photos[i], mapped.photos[j]) for i, j in _pairs(config, kind, mapped)}
    if len(mapped) < len(capture):
        inside = frozenset(mapped.photos)
        wider = _Part(capture=capture, photos=everyone)
        with_others = _pairs(config, _kind(config, wider), wider)
        found |= {pair for pair in with_others if not inside.issuperset(pair)}
    return Pairing(kind=kind, pairs=tuple(sorted(found)))


def _kind(config: PairsConfig, photos: _Part) -> Kind:
    if not isinstance(config, Automatic):
        return config.kind
    if len(photos) <= config.exhaustive_up_to:
        return "exhaustive"
    if photos.capture.video:
        return "sequential"
    if _has_positions(photos):
        return "spatial"
    return "sequential" if _is_walk(photos) else "retrieval"


def _has_positions(photos: _Part) -> bool:
    if photos.capture.positions_m is None:
        return False
    known = np.isfinite(photos.places[:, :2]).all(1)
    places = np.nan_to_num(photos.places[known]) // SAME_PLACE_M
    return bool(known.mean() >= GPS_SHARE and len(np.unique(places, axis=0)) >= 0.5 * known.sum())


def _is_walk(photos: _Part) -> bool:
    alike = photos.similar(WALK_REACH, set())
    following = sum((i, i + 1) in alike for i in range(len(photos) - 1))
    return following >= WALK_SHARE * max(1, len(photos) - 1)


def _pairs(config: PairsConfig, kind: Kind, photos: _Part) -> set[tuple[int, int]]:
    """The options are those of the config's own kind, or the defaults of the one chosen for it."""
    count = len(photos)
    if kind == "exhaustive":
        return {(i, j) for i in range(count) for j in range(i + 1, count)}
    if kind == "sequential":
        sequential = config if isinstance(config, Sequential) else Sequential()
        near = _following(count, sequential.overlap)
        return near | photos.similar(sequential.similar, near)
    if kind == "retrieval":
        retrieval = config if isinstance(config, Retrieval) else Retrieval()
        return photos.similar(retrieval.neighbours, set())
    return _spatial(photos, config if isinstance(config, Spatial) else Spatial())


def _following(count: int, overlap: int) -> set[tuple[int, int]]:
    """``j - i`` up to ``overlap``, or a power of two up to ``2 ** overlap``: the long steps close
    gaps that fast turns leave, at a cost that grows with the logarithm of the reach.

    Source: COLMAP's quadratic overlap.
    """
    steps = set(range(1, overlap + 1)) | {2**k for k in range(overlap + 1) if 2**k < count}
    return {(i, i + step) for i in range(count) for step in steps if i + step < count}


def _spatial(photos: _Part, config: Spatial) -> set[tuple[int, int]]:
    distance = photos.distance_m()
    distance[distance > config.max_distance_m] = np.inf
    near = set(closest(distance, config.neighbours))
    alone = set(np.flatnonzero(~np.isfinite(distance).any(1)).tolist())
    found = near | photos.similar(config.similar, near)
    if alone:
        others = photos.similar(Retrieval().neighbours, set())
        found |= {pair for pair in others if not alone.isdisjoint(pair)}
    return found
