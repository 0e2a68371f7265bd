"""The databases of an attempt: features of SIFT, of networks, or of both, verified.

Runs in the child process, like :mod:`tasks.sfm.worker`; the networks run in one of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Bool, Float64, Int64

from tasks.runtime.context import Context
from tasks.sfm.child import Report
from tasks.sfm.config import FeatureName
from tasks.sfm.database import write_photo_list
from tasks.sfm.exchange import Request
from tasks.sfm.features.distinct import distinct_matches
from tasks.sfm.features.exchange import LearnedMatches, Pair
from tasks.sfm.features.learned import learned_matches
from tasks.sfm.verified import verified_pairs, verify, verify_strictly


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """The features and matches of an attempt."""

    verified: Path
    """By COLMAP's defaults, which let weak pairs pass: enough to choose points at known poses."""
    strict: Path
    """Verified strictly, to find poses by."""
    distinct: Path | None
    """With the matches that look like no other place, unverified; None: all do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StrictMatches:
    """The strictly verified matches of an attempt."""

    keypoints: Mapping[int, Float64[np.ndarray, "n 2"]]
    """Of each image, pixels."""
    pairs: Mapping[tuple[int, int], Int64[np.ndarray, "k 2"]]
    """Matched keypoints of every two images that have any."""
    distinct: Mapping[tuple[int, int], Bool[np.ndarray, " k"]]
    """Whether each of these matches looks like no other place."""


@cache
def strict_matches(databases: Databases) -> StrictMatches:
    """Read what :func:`databases_of` has written."""
    opened = pycolmap.Database.open(str(databases.strict))
    keypoints = {
        image.image_id: np.asarray(opened.read_keypoints(image.image_id), np.float64)[:, :2]
        for image in opened.read_all_images()
    }
    pairs = dict(verified_pairs(opened))
    opened.close()
    distinct = {pair: np.ones(len(matched), bool) for pair, matched in pairs.items()}
    if databases.distinct is not None:
        opened = pycolmap.Database.open(str(databases.distinct))
        for pair, matched in pairs.items():
            known = set(map(tuple, np.asarray(opened.read_matches(*pair)).tolist()))
            distinct[pair] = np.array([tuple(one) in known for one in matched.tolist()], bool)
        opened.close()
    return StrictMatches(keypoints=keypoints, pairs=pairs, distinct=distinct)


def databases_of(
    request: Request, features: FeatureName, pairs: Sequence[Pair], report: Report
) -> Databases:
    """The databases of some features; made where they are not there.

    That of SIFT by the defaults is there already. Where SIFT and ALIKED are taken together, the
    matches of both are verified together, so that they must agree.

    Raises:
        UnseenError: as :func:`tasks.sfm.features.learned.learned_matches` does.
    """
    plain = request.database if features == "sift" else request.folder / f"{features}.db"
    found = Databases(
        verified=plain,
        strict=request.folder / f"{features}-strict.db",
        distinct=None if features == "sift" else request.folder / f"{features}-distinct.db",
    )
    if found.strict.exists():
        return found
    if features == "sift":
        verify_strictly(request, plain, found.strict)
        return found
    learned = _learned(request, pairs, report)
    distinct = distinct_matches(learned.keypoints, learned.descriptors, learned.matches)
    sift = _read_sift(request) if features == "both" else None
    assert found.distinct is not None
    together = _together(sift, learned.keypoints, learned.matches)
    _write(request, plain, together)
    _write(request, found.distinct, _together(sift, learned.keypoints, distinct))
    verify(request, plain, sorted(together.matches), strict=False)
    verify_strictly(request, plain, found.strict)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Features:
    keypoints: Sequence[np.ndarray]
    matches: Mapping[Pair, np.ndarray]
    """None of them empty."""


def _learned(request: Request, pairs: Sequence[Pair], report: Report) -> LearnedMatches:
    config = request.config.aliked()
    assert config is not None, "the plan has only features of the config"
    assert request.weights is not None, "weights are found where the config needs them"
    names = [request.photo_name(photo) for photo in range(len(request.camera_of_photo))]
    masks = [request.mask_folder / request.mask_name(name) for name in names]
    return learned_matches(
        [request.photo_folder / name for name in names],
        [mask if mask.exists() else None for mask in masks],
        pairs,
        config,
        request.weights,
        cache=request.cache,
        context=Context(device=request.device, threads=request.threads, progress=report),
    )


def _read_sift(request: Request) -> _Features:
    opened = pycolmap.Database.open(str(request.database))
    keypoints = [
        np.asarray(opened.read_keypoints(photo + 1), dtype=np.float32)[:, :2]
        for photo in range(len(request.camera_of_photo))
    ]
    matches = {}
    for pair_id, chosen in zip(*opened.read_all_matches(), strict=True):
        first, second = pycolmap.pair_id_to_image_pair(pair_id)
        matches[first - 1, second - 1] = np.asarray(chosen).reshape(-1, 2)
    opened.close()
    return _Features(keypoints=keypoints, matches=matches)


def _together(
    sift: _Features | None, keypoints: Sequence[np.ndarray], matches: Mapping[Pair, np.ndarray]
) -> _Features:
    """Those of networks behind those of SIFT."""
    if sift is None:
        return _Features(
            keypoints=keypoints, matches={pair: one for pair, one in matches.items() if len(one)}
        )
    starts = [len(xy) for xy in sift.keypoints]
    joined = {pair: [chosen] for pair, chosen in sift.matches.items()}
    for (one, other), chosen in matches.items():
        moved = chosen + np.array([starts[one], starts[other]])
        joined.setdefault((one, other), []).append(moved)
    whole = {pair: np.concatenate(parts) for pair, parts in joined.items()}
    return _Features(
        keypoints=[np.concatenate(both) for both in zip(sift.keypoints, keypoints, strict=True)],
        matches={pair: one for pair, one in whole.items() if len(one)},
    )


def _write(request: Request, database: Path, features: _Features) -> None:
    write_photo_list(request, database)
    opened = pycolmap.Database.open(str(database))
    for photo, xy in enumerate(features.keypoints):
        opened.write_keypoints(photo + 1, np.ascontiguousarray(xy, dtype=np.float32))
    for (one, other), chosen in features.matches.items():
        opened.write_matches(one + 1, other + 1, np.ascontiguousarray(chosen, dtype=np.uint32))
    opened.close()
