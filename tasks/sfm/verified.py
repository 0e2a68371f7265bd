"""Two-view verification, and the verified matches in the database.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pycolmap

from tasks.sfm.config import SfmConfig
from tasks.sfm.exchange import Request
from tasks.sfm.matches import Matches
from tasks.sfm.undistort import undistorted_pixels

STRICT_ERROR_PX = 1.0
STRICT_SHARE = 0.5
STRICT_MATCHES = 30
"""See :func:`verification_options`."""


def verification_options(config: SfmConfig, *, strict: bool) -> pycolmap.TwoViewGeometryOptions:
    """Of a pair, by its two photos alone.

    By COLMAP's defaults, a pair of 15 matches within 4 px of an epipolar geometry is accepted,
    however many others of its matches disagree: enough to choose between points at known poses, and
    too little to find poses by. Photos of other windows of the same facade pass that too. Strictly,
    it takes 30 matches within 1 px, and half of all the pair's matches.
    """
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = config.seed
    if strict:
        options.ransac.max_error = STRICT_ERROR_PX
        options.min_inlier_ratio = STRICT_SHARE
        options.min_num_inliers = STRICT_MATCHES
    return options


def verify_strictly(request: Request, database: Path, strict: Path) -> None:
    """Copy a database and verify its matches anew, strictly."""
    shutil.copy(database, strict)
    opened = pycolmap.Database.open(str(strict))
    opened.clear_two_view_geometries()
    opened.close()
    verify(request, strict, matched_pairs(strict, STRICT_MATCHES), strict=True)


def matched_pairs(database: Path, least: int) -> list[tuple[int, ...]]:
    """Pairs, as indices in the request, that have ``least`` unverified matches or more."""
    opened = pycolmap.Database.open(str(database))
    pair_ids, counts = opened.read_num_matches()
    opened.close()
    return [
        tuple(image - 1 for image in pycolmap.pair_id_to_image_pair(pair_id))
        for pair_id, count in zip(pair_ids, counts, strict=True)
        if count >= least
    ]


def verify(
    request: Request, database: Path, pairs: Iterable[tuple[int, ...]], *, strict: bool
) -> None:
    """Verify the matches of pairs, which are indices in the request."""
    lines = [f"{request.photo_name(i)} {request.photo_name(j)}\n" for i, j in pairs]
    if not lines:  # an empty list would mean every pair
        return
    pair_list = database.with_suffix(".txt")
    pair_list.write_text("".join(lines))
    options = verification_options(request.config, strict=strict)
    pycolmap.verify_matches(str(database), str(pair_list), options=options)


def verified_matches(
    model: pycolmap.Reconstruction, database: Path, pinholes: Sequence[pycolmap.Camera]
) -> Matches:
    """The matches that two-view verification accepted, of every two registered photos.

    Args:
        pinholes: camera of each undistorted photo, in ascending order of the registered images.

    Returns:
        Only keypoints that a match has, photo by photo.
    """
    registered = sorted(model.reg_image_ids())
    stored = pycolmap.Database.open(str(database))
    pairs = {
        images: matched
        for images, matched in verified_pairs(stored)
        if set(registered).issuperset(images)
    }
    keypoints = [np.asarray(stored.read_keypoints(one), np.float64) for one in registered]
    stored.close()
    matched = {one: np.zeros(len(xy), bool) for one, xy in zip(registered, keypoints, strict=True)}
    for images, chosen in pairs.items():
        for image, keypoint in zip(images, chosen.T, strict=True):
            matched[image][keypoint] = True
    counts = np.array([matched[one].sum() for one in registered])
    starts = dict(zip(registered, np.cumsum(counts) - counts, strict=True))
    number = {one: starts[one] + np.cumsum(matched[one]) - 1 for one in registered}
    numbered = [
        np.stack([number[one][chosen[:, 0]], number[other][chosen[:, 1]]], axis=1)
        for (one, other), chosen in sorted(pairs.items())
    ]
    found = [
        undistorted_pixels(xy[matched[one], :2], model.camera(model.image(one).camera_id), pinhole)
        for one, xy, pinhole in zip(registered, keypoints, pinholes, strict=True)
    ]
    return Matches(
        photo_index=np.repeat(np.arange(len(registered)), counts).astype(np.int32),
        xy=np.concatenate(found),
        pairs=np.concatenate([np.zeros((0, 2)), *numbered]).astype(np.int32),
    )


def verified_pairs(
    database: pycolmap.Database,
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Images and matched keypoints [n 2] of each pair that has verified matches."""
    for pair_id, geometry in zip(*database.read_two_view_geometries(), strict=True):
        matched = np.asarray(geometry.inlier_matches, dtype=np.int64).reshape(-1, 2)
        if len(matched):  # a pair without any is stored, too
            first, second = pycolmap.pair_id_to_image_pair(pair_id)
            yield (first, second), matched
