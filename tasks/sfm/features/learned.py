"""Features and matches by networks, in a process of their own: torch is never beside pycolmap."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from storage.errors import IntegrityError
from tasks.errors import MachineError
from tasks.runtime.context import Context
from tasks.sfm.features.config import Aliked, Precision, Sift
from tasks.sfm.features.exchange import (
    Extraction,
    LearnedMatches,
    Matching,
    Pair,
    PairMatches,
    PhotoFeatures,
    Request,
    Result,
)
from tasks.sfm.features.files import FeatureWeights
from tasks.sfm.process import run_child
from tasks.source import Source

T = TypeVar("T")

WORKER = "tasks.sfm.features.worker"


def learned_matches(
    photos: Sequence[Path],
    masks: Sequence[Path | None],
    pairs: Sequence[Pair],
    config: Aliked,
    weights: FeatureWeights,
    *,
    cache: Path | None = None,
    context: Context = Context(),
) -> LearnedMatches:
    """ALIKED's keypoints of all photos, and LightGlue's matches of some pairs.

    What is in the cache is not computed again: with one more photo, that photo and its pairs are. A
    run that was killed goes on where it was.

    Args:
        photos: lossless image files of 8 bits, upright.
        masks: of each photo, files of 8 bits, 255 = use; no keypoint lies elsewhere. None: all is
            used.
        pairs: indices of photos, each pair once.
        weights: see :func:`tasks.sfm.features.files.find_feature_weights`.
        cache: folder, shared by any number of processes; see
            :func:`tasks.sfm.features.cache.cache_folder`. None: nothing is kept.
        context: its threads, one where unset; its device changes the last digits.

    Raises:
        InputError: the weights are not of these networks.
        MachineError: the process died, or a file could not be written.
    """
    extraction, matching = _aliked(config, weights)
    with _folder() as name:
        request = Request(
            cache=_cache(cache, name),
            photos=tuple(map(str, photos)),
            masks=tuple(None if mask is None else str(mask) for mask in masks),
            pairs=tuple(pairs),
            extraction=extraction,
            matching=matching,
            device=context.device,
            threads=context.threads or 1,
        )
        result = _computed(request, Path(name), context)
        features = [_read(PhotoFeatures.read, file) for file in result.features]
        return _matches(features, request, result, config.min_score)


def sift_matches(
    features: Sequence[PhotoFeatures],
    pairs: Sequence[Pair],
    config: Sift,
    weights: FeatureWeights,
    *,
    cache: Path | None = None,
    context: Context = Context(),
) -> LearnedMatches:
    """LightGlue's matches of SIFT features; see :func:`learned_matches`.

    Args:
        features: with scale and angle; see :func:`tasks.sfm.features.sift.sift_features`.
    """
    assert weights.sift_matcher is not None, "the config names no weights"
    with _folder() as name:
        given = [Path(name) / f"given_{index:06d}.npz" for index in range(len(features))]
        for one, file in zip(features, given, strict=True):
            one.write(file)
        request = Request(
            cache=_cache(cache, name),
            given=tuple(map(str, given)),
            pairs=tuple(pairs),
            matching=_matching(weights.sift_matcher, config.precision),
            device=context.device,
            threads=context.threads or 1,
        )
        result = _computed(request, Path(name), context)
        return _matches(features, request, result, config.min_score)


def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="unseen-features-")


def _cache(cache: Path | None, folder: str) -> str:
    return str(Path(folder, "cache") if cache is None else cache.absolute())


def _aliked(config: Aliked, weights: FeatureWeights) -> tuple[Extraction, Matching]:
    assert weights.aliked is not None, "weights of another config"
    assert weights.aliked_matcher is not None, "weights of another config"
    extraction = Extraction(
        max_keypoints=config.max_keypoints,
        detection_threshold=config.detection_threshold,
        long_side=config.long_side,
        weights=weights.aliked.folder,
        weights_digest=weights.aliked.digest,
    )
    return extraction, _matching(weights.aliked_matcher, config.precision)


def _matching(weights: Source, precision: Precision) -> Matching:
    return Matching(precision=precision, weights=weights.folder, weights_digest=weights.digest)


def _computed(request: Request, folder: Path, context: Context) -> Result:
    request.write(folder)
    run_child(WORKER, folder, threads=request.threads, progress=context.progress)
    return Result.read(folder)


def _matches(
    features: Sequence[PhotoFeatures], request: Request, result: Result, min_score: float
) -> LearnedMatches:
    found = {
        pair: _read(PairMatches.read, file).at_least(min_score)
        for pair, file in zip(request.pairs, result.matches, strict=True)
    }
    return LearnedMatches(
        keypoints=tuple(one.xy for one in features),
        descriptors=tuple(one.descriptors for one in features),
        matches={pair: one.indices for pair, one in found.items()},
        scores={pair: one.scores for pair, one in found.items()},
        computed=result.computed,
    )


def _read(read: Callable[[Path], T], file: str) -> T:
    """
    Raises:
        MachineError: it was there a moment ago.
    """
    try:
        return read(Path(file))
    except (OSError, IntegrityError) as error:
        raise MachineError(
            f"features or matches in '{file}' were removed or damaged since they were computed "
            f"({error}); run the scene again"
        ) from error
