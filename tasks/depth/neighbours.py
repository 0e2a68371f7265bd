"""Neighbours of each photo and its range of depths, from its sparse points."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from tasks.cameras import Cameras
from tasks.sfm.triangulate import Observations, TriangulatedPoints

BEST_ANGLE_DEG = 10.0
"""Between the rays to a point: narrower and depths are vague, wider and photos look different."""
NARROWER_DEG, WIDER_DEG = 5.0, 12.0
"""Standard deviations of what an angle below, and one above the best counts."""
MIN_ANGLE_DEG = 1.0
"""A smaller angle does not determine a point's depth."""
MIN_SHARED = 8
"""Points that a photo must show for a range of depths, and share with a neighbour."""
OUTLIERS = 0.01
"""Share of the points, at either end, that the range of depths may leave out."""
NEARER, FARTHER = 1.3, 0.7
"""How far the range goes beyond the points, in inverse depths."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparsePoints:
    """Points triangulated from the photos themselves, and which photos show them."""

    points: Float64[np.ndarray, "p 3"]
    """World units."""
    point_index: Int32[np.ndarray, " k"]
    photo_index: Int32[np.ndarray, " k"]
    """With ``point_index``: the point was seen in the photo."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbourhood:
    """Photos and depths of a photo's plane sweep."""

    photos: tuple[int, ...]
    """Best first; empty where nothing can be compared."""
    inverse_range: tuple[float, float]
    """Inverse depths of the farthest and the nearest plane, 1 / world units."""


def sparse_points(found: TriangulatedPoints, tracks: Observations) -> SparsePoints:
    """Triangulated points and the photos that show them.

    Args:
        tracks: that ``found`` was triangulated from.
    """
    theirs = tracks.select(np.isin(tracks.point_index, found.tracks))
    return SparsePoints(
        points=found.points,
        point_index=np.searchsorted(found.tracks, theirs.point_index).astype(np.int32),
        photo_index=theirs.photo_index,
    )


def neighbourhoods(cameras: Cameras, sparse: SparsePoints, *, most: int) -> list[Neighbourhood]:
    """For each photo, those that share most points with it at useful angles.

    Args:
        most: neighbours of a photo, at most.

    Returns:
        In the cameras' order. A photo is without neighbours where it shows fewer than 8 points or
        shares fewer, seen at an angle of a degree or more, with every other.
    """
    seen = np.zeros((len(cameras), len(sparse.points)), bool)
    seen[sparse.photo_index, sparse.point_index] = True
    return [
        _neighbourhood(index, cameras, sparse.points, seen, most) for index in range(len(cameras))
    ]


def planes_of(
    maps: Float32[np.ndarray, "k 3 3"],
    offsets: Float32[np.ndarray, "k 3"],
    size: tuple[int, int],
    inverse_range: tuple[float, float],
    *,
    most: int,
) -> Float32[np.ndarray, " planes"]:
    """Inverse depths, evenly spaced, about a pixel apart in the middle one of the photos.

    Args:
        maps: and offsets: where the view's pixels lie in the photos (tasks.depth.reprojection).
        size: of the view, px.
        most: planes at most; there are at least 16, and a multiple of 16.
    """
    width, height = size
    columns, rows = np.meshgrid(
        width * np.array([0.2, 0.5, 0.8]), height * np.array([0.2, 0.5, 0.8])
    )
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
    ends = [maps @ pixels + q * offsets[:, :, None] for q in inverse_range]
    far, near = (end[:, :2] / np.maximum(end[:, 2:], 1e-6) for end in ends)
    visible = (ends[0][:, 2] > 0) & (ends[1][:, 2] > 0)
    moved = np.linalg.norm(near - far, axis=1)[visible]
    apart_px = float(np.median(moved)) if moved.size else 0.0
    count = int(np.clip(-(-apart_px // 16) * 16, 16, most // 16 * 16))
    return np.linspace(*inverse_range, count).astype(np.float32)


def _neighbourhood(
    index: int,
    cameras: Cameras,
    points: Float64[np.ndarray, "p 3"],
    seen: Bool[np.ndarray, "n p"],
    most: int,
) -> Neighbourhood:
    nothing = Neighbourhood(photos=(), inverse_range=(0.0, 0.0))
    mine = seen[index]
    if mine.sum() < MIN_SHARED:
        return nothing
    rays = points[mine] - cameras.centres[:, None]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    cosine = np.einsum("npi,pi->np", rays, rays[index])
    angle_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    shared = seen[:, mine] & (angle_deg >= MIN_ANGLE_DEG)
    off = angle_deg - BEST_ANGLE_DEG
    worth = np.exp(-0.5 * (off / np.where(off < 0, NARROWER_DEG, WIDER_DEG)) ** 2)
    score = (worth * shared).sum(1)
    score[(shared.sum(1) < MIN_SHARED) | (np.arange(len(cameras)) == index)] = 0
    chosen = tuple(int(j) for j in np.argsort(-score, kind="stable")[:most] if score[j] > 0)
    if not chosen:
        return nothing
    depth, inside = cameras.in_frame(index, points)
    # What the neighbours see inside the frame is likely to be seen here too, matched or not.
    inverse = 1 / depth[inside & (mine | seen[list(chosen)].any(0))]
    if len(inverse) < MIN_SHARED:
        return nothing
    far, near = np.quantile(inverse, [OUTLIERS, 1 - OUTLIERS])
    return Neighbourhood(photos=chosen, inverse_range=(float(FARTHER * far), float(NEARER * near)))
