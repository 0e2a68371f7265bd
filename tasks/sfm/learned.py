"""Databases with features by networks, alone or beside SIFT.

Runs in the child process, like :mod:`tasks.sfm.worker`; the networks run in one of their own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from tasks.runtime.context import Context
from tasks.sfm.child import Report
from tasks.sfm.config import FeatureName
from tasks.sfm.database import write_photo_list
from tasks.sfm.exchange import Request
from tasks.sfm.features.exchange import Pair
from tasks.sfm.features.learned import learned_matches
from tasks.sfm.verified import verify


def database_of(
    request: Request, features: FeatureName, pairs: Sequence[Pair], report: Report
) -> Path:
    """The database of features and matches, verified by COLMAP's defaults.

    That of SIFT is there already. The others are made where they are not: matches of both kinds
    are verified together, so that they must agree.

    Raises:
        UnseenError: as :func:`tasks.sfm.features.learned.learned_matches` does.
    """
    if features == "sift":
        return request.database
    database = request.folder / f"{features}.db"
    if not database.exists():
        partial = request.folder / f"{features}-partial.db"
        partial.unlink(missing_ok=True)
        write_photo_list(request, partial)
        matched = _write_matches(request, features, pairs, partial, report)
        verify(request, partial, matched, strict=False)
        partial.rename(database)
    return database


def _write_matches(
    request: Request,
    features: FeatureName,
    pairs: Sequence[Pair],
    database: Path,
    report: Report,
) -> list[Pair]:
    """Write keypoints and matches; the pairs that have any, as indices in the request."""
    config = request.config.aliked()
    assert config is not None, "the plan has only features of the config"
    assert request.weights is not None, "weights are found where the config needs them"
    count = len(request.camera_of_photo)
    names = [request.photo_name(photo) for photo in range(count)]
    masks = [request.mask_folder / request.mask_name(name) for name in names]
    found = learned_matches(
        [request.photo_folder / name for name in names],
        [mask if mask.exists() else None for mask in masks],
        pairs,
        config,
        request.weights,
        cache=request.cache,
        context=Context(device=request.device, threads=request.threads, progress=report),
    )
    matches = {pair: chosen for pair, chosen in found.matches.items() if len(chosen)}
    opened = pycolmap.Database.open(str(database))
    sift = pycolmap.Database.open(str(request.database)) if features == "both" else None
    starts = [0] * count
    for photo, xy in enumerate(found.keypoints):
        if sift is not None:
            before = np.asarray(sift.read_keypoints(photo + 1), dtype=np.float32)[:, :2]
            starts[photo] = len(before)
            xy = np.concatenate([before, xy])
        opened.write_keypoints(photo + 1, np.ascontiguousarray(xy, dtype=np.float32))
    together = {
        (one, other): chosen + np.array([starts[one], starts[other]])
        for (one, other), chosen in matches.items()
    }
    if sift is not None:
        for pair_id, chosen in zip(*sift.read_all_matches(), strict=True):
            first, second = pycolmap.pair_id_to_image_pair(pair_id)
            pair = first - 1, second - 1
            parts = [np.asarray(chosen).reshape(-1, 2), together.get(pair, np.zeros((0, 2)))]
            together[pair] = np.concatenate(parts)
        sift.close()
    for (one, other), chosen in together.items():
        opened.write_matches(one + 1, other + 1, np.ascontiguousarray(chosen, dtype=np.uint32))
    opened.close()
    return sorted(pair for pair, chosen in together.items() if len(chosen))
