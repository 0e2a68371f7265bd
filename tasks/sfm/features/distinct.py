"""Matches that only one place in the other photo explains.

LightGlue matches by context, and a facade that repeats gives its windows the same context: photos
of different bays match in whole. What is ambiguous by its looks is no evidence of where a photo was
taken.

Source: the ratio test, Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 60(2),
2004, sec. 7.1, between a match and the best keypoint elsewhere.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from tasks.sfm.features.exchange import Pair

MAX_RATIO = 0.9
ELSEWHERE = 0.03
"""Distance from which a keypoint lies elsewhere, as a share of the extent of the keypoints."""


def distinct_matches(
    keypoints: Sequence[Float[np.ndarray, "_ 2"]],
    descriptors: Sequence[Float[np.ndarray, "_ d"]],
    matches: Mapping[Pair, Int[np.ndarray, "_ 2"]],
) -> dict[Pair, Int[np.ndarray, "_ 2"]]:
    """The matches whose descriptors differ more from any keypoint elsewhere, in both photos.

    Args:
        descriptors: of unit length.
    """
    found = {}
    for (one, other), chosen in matches.items():
        first, second = (descriptors[photo].astype(np.float32) for photo in (one, other))
        alike = first @ second.T
        kept = _distinct(alike, chosen, keypoints[other])
        kept &= _distinct(alike.T, chosen[:, ::-1], keypoints[one])
        found[one, other] = chosen[kept]
    return found


def _distinct(
    alike: Float[np.ndarray, "n m"], matches: Int[np.ndarray, "k 2"], xy: Float[np.ndarray, "m 2"]
) -> Bool[np.ndarray, " k"]:
    if not len(matches):
        return np.zeros(0, bool)
    rows = alike[matches[:, 0]]
    place = xy[matches[:, 1]]
    away = np.linalg.norm(place[:, None] - xy[None], axis=2)
    elsewhere = away > ELSEWHERE * np.ptp(xy, axis=0).max()
    best = rows[np.arange(len(matches)), matches[:, 1]]
    rival = np.where(elsewhere, rows, -1.0).max(axis=1, initial=-1.0)
    distance, rival_distance = (np.sqrt(np.maximum(2 - 2 * dot, 0)) for dot in (best, rival))
    return distance < MAX_RATIO * rival_distance
