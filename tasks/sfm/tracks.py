"""Tracks from pair matches: which keypoints of several photos show one point."""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.cameras import Cameras
from tasks.sfm.epipolar import epipolar_errors
from tasks.sfm.matches import Matches
from tasks.sfm.triangulate import Observations

MAX_ERROR_PX = 4.0
"""COLMAP's limit for an observation of a point, here of a match to its epipolar line."""


def link_tracks(
    cameras: Cameras, matches: Matches, *, max_error_px: float = MAX_ERROR_PX
) -> Observations:
    """Join the matches that fit the poses to tracks; two photos suffice for one.

    A track is a connected component of the matches, as in Moulon and Monasse, Unordered Feature
    Tracking Made Fast and Easy, CVMP 2012. One that shows two keypoints of a photo is not dropped
    as there, but linked anew from its best matches on, without those that would join such two.

    Args:
        cameras: of the photos that ``matches`` counts.
        max_error_px: matches farther from their epipolar lines are left out.

    Returns:
        Observations of every track, by track and then by keypoint; each track has at least two, of
        different photos.
    """
    errors_px = match_errors_px(cameras, matches)
    fitting = errors_px <= max_error_px
    pairs, errors_px = matches.pairs[fitting], errors_px[fitting]
    component = _components(len(matches.xy), pairs)
    twice = _shows_a_photo_twice(component, matches.photo_index)
    doubtful = twice[component[pairs[:, 0]]]
    best_first = np.argsort(errors_px[doubtful], kind="stable")
    relinked = _without_conflicts(pairs[doubtful][best_first], matches.photo_index)
    kept = np.concatenate([pairs[~doubtful], np.array(list(relinked), np.int32).reshape(-1, 2)])
    component = _components(len(matches.xy), kept)
    keypoints = np.unique(kept)
    order = np.argsort(component[keypoints], kind="stable")
    keypoints = keypoints[order]
    return Observations(
        point_index=np.unique(component[keypoints], return_inverse=True)[1].astype(np.int32),
        photo_index=matches.photo_index[keypoints],
        xy=matches.xy[keypoints],
    )


def match_errors_px(cameras: Cameras, matches: Matches) -> Float64[np.ndarray, " m"]:
    """Distance of each match to the nearest one that fits the poses, px.

    See :func:`tasks.sfm.epipolar.epipolar_errors`; in the mean focal length of the two photos.
    """
    photos = matches.photo_index[matches.pairs]
    focal = cameras.intrinsics[:, [0, 1], [0, 1]]
    principal = cameras.intrinsics[:, [0, 1], [2, 2]]
    rays = (matches.xy - principal[matches.photo_index]) / focal[matches.photo_index]
    errors = np.zeros(len(matches.pairs))
    for (first, second), chosen in _by_photos(photos):
        one, other = matches.pairs[chosen].T
        from_first = cameras.camera_from_world[second] @ cameras.world_from_camera[first]
        errors[chosen] = epipolar_errors(rays[one], rays[other], from_first)
        errors[chosen] *= focal[[first, second]].mean()
    return errors


def _by_photos(
    photos: Int32[np.ndarray, "m 2"],
) -> Iterator[tuple[tuple[int, int], Int64[np.ndarray, " c"]]]:
    """The indices of the matches of each two photos."""
    order = np.lexsort(photos.T[::-1])
    starts = np.flatnonzero(np.diff(photos[order], axis=0, prepend=-1).any(1))
    for chosen in np.split(order, starts[1:]) if len(order) else ():
        first, second = photos[chosen[0]].tolist()
        yield (first, second), chosen


def _components(count: int, pairs: Int32[np.ndarray, "m 2"]) -> Int32[np.ndarray, " k"]:
    """Number of the connected component of each of ``count`` keypoints."""
    graph = coo_array((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(count, count))
    component: Int32[np.ndarray, " k"] = connected_components(graph, directed=False)[1]
    return component


def _shows_a_photo_twice(
    component: Int32[np.ndarray, " k"], photo_index: Int32[np.ndarray, " k"]
) -> Bool[np.ndarray, " c"]:
    """Of each component: whether two of its keypoints are of one photo."""
    seen, times = np.unique(np.stack([component, photo_index]), axis=1, return_counts=True)
    found = np.zeros(int(component.max(initial=-1)) + 1, bool)
    found[seen[0, times > 1]] = True
    return found


def _without_conflicts(
    pairs: Iterable[Int32[np.ndarray, "2"]], photo_index: Int32[np.ndarray, " k"]
) -> Iterator[tuple[int, int]]:
    """The pairs, in their order, that join no two keypoints of one photo."""
    parent: dict[int, int] = {}
    shown: dict[int, set[int]] = {}

    def root(keypoint: int) -> int:
        while (above := parent.setdefault(keypoint, keypoint)) != keypoint:
            parent[keypoint] = parent[above]
            keypoint = above
        return keypoint

    for one, other in np.asarray(pairs).reshape(-1, 2).tolist():
        first, second = root(one), root(other)
        mine = shown.setdefault(first, {int(photo_index[first])})
        theirs = shown.setdefault(second, {int(photo_index[second])})
        if first == second:
            yield one, other
        elif mine.isdisjoint(theirs):
            parent[second] = first
            mine |= theirs
            yield one, other
