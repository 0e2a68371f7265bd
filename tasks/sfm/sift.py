"""SIFT features and their matches, into the database.

Runs in the child process, like :mod:`tasks.sfm.worker`.

Source: Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 60(2), 2004.
"""

from collections.abc import Sequence

import numpy as np
import pycolmap

from tasks.runtime.context import Context
from tasks.sfm.child import Report, part
from tasks.sfm.exchange import Request
from tasks.sfm.features.files import FeatureWeights
from tasks.sfm.features.learned import sift_matches
from tasks.sfm.features.sift import sift_features
from tasks.sfm.pairs.choose import Capture, Pairing, choose_pairs
from tasks.sfm.sift_cache import SiftCache
from tasks.sfm.verified import matched_pairs, verify

FEATURES_SHARE = 0.55
"""Typical share of the time on photos of about a megapixel; the rest is matching."""


def extract_features(request: Request, cache: SiftCache, report: Report) -> None:
    """SIFT, a few photos at a time for the sake of progress; none of what is kept."""
    opened = pycolmap.Database.open(str(request.database))
    recalled = cache.recall_features(opened)
    opened.close()
    count = len(request.camera_of_photo)
    photos = [photo for photo in range(count) if photo not in recalled]
    done = len(recalled)
    batch = 4 * request.threads
    report(FEATURES_SHARE * done / count, f"features of {done} of {count} photos")
    for start in range(0, len(photos), batch):
        chosen = photos[start : start + batch]
        _extract(request, chosen)
        opened = pycolmap.Database.open(str(request.database))
        cache.keep_features(opened, chosen)
        opened.close()
        done += len(chosen)
        report(FEATURES_SHARE * done / count, f"features of {done} of {count} photos")


def _extract(request: Request, photos: Sequence[int]) -> None:
    options = pycolmap.FeatureExtractionOptions()
    options.sift.max_num_features = request.config.sift().max_features
    options.num_threads = request.threads
    names = [request.photo_name(photo) for photo in photos]
    masked = [n for n in names if (request.mask_folder / request.mask_name(n)).exists()]
    plain = [n for n in names if n not in masked]
    # Apart: with a folder of masks, a photo that has none in there gets no features at all.
    for chosen, masks in ((plain, None), (masked, request.mask_folder)):
        reading = pycolmap.ImageReaderOptions()
        if masks is not None:
            reading.mask_path = str(masks)
        if chosen:  # no names would mean every photo
            pycolmap.extract_features(
                str(request.database),
                str(request.photo_folder),
                image_names=chosen,
                reader_options=reading,
                extraction_options=options,
                device=pycolmap.Device.cpu,
            )


def pairs_of(request: Request) -> Pairing:
    """The pairs to match, by the config and the features in the database."""
    database = pycolmap.Database.open(str(request.database))
    capture = Capture(
        local=_StoredDescriptors(database, len(request.camera_of_photo)),
        video=request.video,
        positions_m=request.positions_m,
        mapped=request.training,
        seed=request.config.seed,
    )
    chosen = choose_pairs(request.config.pairs, capture)
    database.close()
    return chosen


class _StoredDescriptors(Sequence[np.ndarray]):
    """Of each photo's features, [m 128], read when they are used."""

    def __init__(self, database: pycolmap.Database, photos: int) -> None:
        self._database, self._photos = database, photos

    def __len__(self) -> int:
        return self._photos

    def __getitem__(self, photo: int) -> np.ndarray:  # type: ignore[override]
        return np.asarray(self._database.read_descriptors(photo + 1).data)


def match_features(request: Request, pairing: Pairing, cache: SiftCache, report: Report) -> None:
    """Match the pairs by nearest neighbours, or by a network where the config names its weights,
    and verify them by COLMAP's defaults."""
    if request.weights is not None and request.weights.sift_matcher is not None:
        _match_by_network(request, pairing, request.weights, report)
    else:
        _match_by_neighbours(request, pairing, cache, report)
    verify(request, request.database, matched_pairs(request.database, 1), strict=False)


def _match_by_network(
    request: Request, pairing: Pairing, weights: FeatureWeights, report: Report
) -> None:
    opened = pycolmap.Database.open(str(request.database))
    features = []
    for photo, camera in enumerate(request.camera_of_photo):
        size = request.cameras[camera].width, request.cameras[camera].height
        descriptors = np.asarray(opened.read_descriptors(photo + 1).data)
        features.append(sift_features(opened.read_keypoints(photo + 1), descriptors, size))
    found = sift_matches(
        features,
        pairing.pairs,
        request.config.sift(),
        weights,
        cache=request.cache,
        context=Context(
            device=request.device,
            threads=request.threads,
            progress=part(report, FEATURES_SHARE, 1.0),
        ),
    )
    matched = {pair: chosen for pair, chosen in found.matches.items() if len(chosen)}
    for (one, other), chosen in matched.items():
        opened.write_matches(one + 1, other + 1, np.ascontiguousarray(chosen, dtype=np.uint32))
    opened.close()


def _match_by_neighbours(
    request: Request, pairing: Pairing, cache: SiftCache, report: Report
) -> None:
    """Some hundreds at a time for the sake of progress; none of what is kept."""
    opened = pycolmap.Database.open(str(request.database))
    recalled = cache.recall_matches(opened, pairing.pairs)
    opened.close()
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = request.threads
    matching.skip_geometric_verification = True
    listed = pycolmap.ImportedPairingOptions()
    pairs = [pair for pair in pairing.pairs if pair not in recalled]
    # Each call loads the descriptors of its photos anew, so not too many calls.
    batch = max(200, len(pairs) // 20)
    for start in range(0, len(pairs), batch):
        chosen = pairs[start : start + batch]
        pair_list = request.folder / "pairs.txt"
        pair_list.write_text(
            "".join(f"{request.photo_name(i)} {request.photo_name(j)}\n" for i, j in chosen)
        )
        listed.match_list_path = str(pair_list)
        pycolmap.match_image_pairs(
            str(request.database),
            matching_options=matching,
            pairing_options=listed,
            device=pycolmap.Device.cpu,
        )
        opened = pycolmap.Database.open(str(request.database))
        cache.keep_matches(opened, chosen)
        opened.close()
        done = len(recalled) + start + len(chosen)
        share = FEATURES_SHARE + (1 - FEATURES_SHARE) * done / len(pairing.pairs)
        report(share, f"matched {done} of {len(pairing.pairs)} pairs ({pairing.kind})")
