"""The verified matches in the database.

Runs in the child process, like :mod:`tasks.sfm.worker`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pycolmap

from tasks.sfm.matches import Matches
from tasks.sfm.undistort import undistorted_pixels


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
