"""Points from tracks at fixed poses, and their colours.

Structure from motion places its points with every photo. What is scored on held-out photos must
not start from those: its tracks are linked (:mod:`tasks.sfm.tracks`) and triangulated from the
training photos alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, UInt8

from tasks.cameras import Cameras

REFINEMENTS = 3
"""Gauss-Newton steps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """Where points were seen; a track is all observations of one point."""

    point_index: Int32[np.ndarray, " k"]
    photo_index: Int32[np.ndarray, " k"]
    xy: Float32[np.ndarray, "k 2"]
    """Pixels of the undistorted photo."""

    def of_photos(self, photos: Sequence[int]) -> "Observations":
        """Those made in ``photos``, in the same order; indices keep their meaning."""
        return self.select(np.isin(self.photo_index, np.asarray(photos)))

    def select(self, chosen: Bool[np.ndarray, " k"] | Int[np.ndarray, " c"]) -> "Observations":
        """Those at ``chosen``, in that order; indices keep their meaning."""
        return Observations(
            point_index=self.point_index[chosen],
            photo_index=self.photo_index[chosen],
            xy=self.xy[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriangulatedPoints:
    points: Float64[np.ndarray, "p 3"]
    """World units."""
    tracks: Int32[np.ndarray, " p"]
    """The ``point_index`` of the track each was made from, ascending."""


def triangulate_tracks(
    cameras: Cameras,
    observations: Observations,
    *,
    max_error_px: float = 4.0,
    min_angle_deg: float = 1.5,
) -> TriangulatedPoints:
    """Triangulate every track of at least two observations.

    A linear solution in the rays' normalised coordinates (Hartley and Zisserman, Multiple View
    Geometry, 2nd ed., sec. 12.2), then Gauss-Newton on the reprojection error. Tracks of equal
    length are solved together.

    Args:
        cameras: of the photos that ``observations`` counts.
        max_error_px: larger root mean square reprojection errors drop a point.
        min_angle_deg: so much must the most different two rays differ.

    Returns:
        The points that lie in front of all their photos and pass both limits.
    """
    found = [
        _triangulate(cameras, tracks, photo_index, xy, max_error_px, min_angle_deg)
        for tracks, photo_index, xy in _by_length(observations)
    ]
    points = np.concatenate([np.zeros((0, 3)), *(points for points, _ in found)])
    tracks = np.concatenate([np.zeros(0, dtype=np.int32), *(tracks for _, tracks in found)])
    order = np.argsort(tracks)
    return TriangulatedPoints(points=points[order], tracks=tracks[order])


def sample_colours(
    observations: Observations,
    tracks: Int[np.ndarray, " p"],
    pixels: Sequence[UInt8[np.ndarray, "_ _ 3"]],
) -> Float32[np.ndarray, "p 3"]:
    """Mean colour of each track where the photos show it, RGB in [0, 1].

    Args:
        tracks: the ``point_index`` of each track wanted.
        pixels: all the photos, by index, read one at a time.

    Returns:
        Bilinear samples averaged over the photos; mid-grey for a track that is seen in none of
        them (outside of the undistorted photo counts as not seen).
    """
    n_points = int(observations.point_index.max(initial=-1)) + 1
    total, seen = np.zeros((n_points, 3)), np.zeros(n_points)
    for photo in range(len(pixels)):
        here = observations.of_photos([photo])
        image = pixels[photo]
        height, width = image.shape[:2]
        inside = ((here.xy >= 0) & (here.xy <= [width, height])).all(axis=1)
        points = here.point_index[inside]
        np.add.at(total, points, _bilinear(image, here.xy[inside]))
        np.add.at(seen, points, 1.0)
    mean = np.where(seen[:, None] > 0, total / np.maximum(seen, 1.0)[:, None] / 255.0, 0.5)
    return mean[tracks].astype(np.float32)


def _bilinear(
    image: UInt8[np.ndarray, "h w 3"], xy: Float32[np.ndarray, "k 2"]
) -> Float64[np.ndarray, "k 3"]:
    """Samples at ``xy``, pixels with the centre of the first at (0.5, 0.5); edges are extended."""
    last = np.array([image.shape[1] - 1, image.shape[0] - 1])
    position = np.clip(xy.astype(np.float64) - 0.5, 0.0, last)
    low = np.minimum(position.astype(np.int64), np.maximum(last - 1, 0))
    high = np.minimum(low + 1, last)
    right, down = (position - low).T[:, :, None]
    (x0, y0), (x1, y1) = low.T, high.T
    top = (1 - right) * image[y0, x0] + right * image[y0, x1]
    bottom = (1 - right) * image[y1, x0] + right * image[y1, x1]
    return (1 - down) * top + down * bottom


def _by_length(
    observations: Observations,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Tracks in groups of equal length l >= 2: point index [g], photo index [g l], xy [g l 2]."""
    order = np.lexsort((observations.photo_index, observations.point_index))
    tracks, starts, lengths = np.unique(
        observations.point_index[order], return_index=True, return_counts=True
    )
    for length in np.unique(lengths[lengths >= 2]):
        chosen = lengths == length
        members = order[starts[chosen, None] + np.arange(length)]
        xy = observations.xy[members].astype(np.float64)
        yield tracks[chosen], observations.photo_index[members], xy


def _triangulate(
    cameras: Cameras,
    tracks: np.ndarray,
    photo_index: np.ndarray,
    xy: np.ndarray,
    max_error_px: float,
    min_angle_deg: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Points and their tracks for one group of :func:`_by_length`."""
    camera_from_world = cameras.camera_from_world[photo_index]
    focal = cameras.intrinsics[:, [0, 1], [0, 1]][photo_index]
    principal = cameras.intrinsics[:, [0, 1], [2, 2]][photo_index]
    rays = (xy - principal) / focal
    points = _linear(camera_from_world, rays)
    # A point at infinity is not finite or overflows on the way; the tests below drop it.
    with np.errstate(all="ignore"):
        for _ in range(REFINEMENTS):
            points = points + _gauss_newton_step(camera_from_world, focal, rays, points)
        local = _to_cameras(camera_from_world, points)
        residual = (local[..., :2] / local[..., 2:] - rays) * focal
        error_px = np.sqrt((residual**2).sum(-1).mean(-1))
        good = (
            np.isfinite(points).all(1)
            & (local[..., 2] > 0).all(1)
            & (error_px <= max_error_px)
            & (_widest_angle_deg(cameras.centres[photo_index], points) >= min_angle_deg)
        )
    return points[good], tracks[good]


def _linear(
    camera_from_world: Float[np.ndarray, "g l 4 4"], rays: Float[np.ndarray, "g l 2"]
) -> Float[np.ndarray, "g 3"]:
    """The direct linear transform, about the first camera and at the scale of its baselines."""
    rotation, translation = camera_from_world[..., :3, :3], camera_from_world[..., :3, 3]
    centres = -np.einsum("glji,glj->gli", rotation, translation)
    origin = centres[:, 0]
    scale = np.linalg.norm(centres - origin[:, None], axis=-1).max(1)
    scale = np.where(scale > 0, scale, 1.0)
    moved = np.einsum("glij,glj->gli", rotation, origin[:, None] - centres) / scale[:, None, None]
    projection = np.concatenate([rotation, moved[..., None]], axis=-1)
    rows = rays[..., None] * projection[:, :, 2:] - projection[:, :, :2]
    homogeneous = np.linalg.svd(rows.reshape(len(rows), -1, 4))[2][:, -1]
    with np.errstate(all="ignore"):
        return origin + scale[:, None] * homogeneous[:, :3] / homogeneous[:, 3:]


def _to_cameras(
    camera_from_world: Float[np.ndarray, "g l 4 4"], points: Float[np.ndarray, "g 3"]
) -> Float[np.ndarray, "g l 3"]:
    turned = np.einsum("glij,gj->gli", camera_from_world[..., :3, :3], points)
    return turned + camera_from_world[..., :3, 3]


def _gauss_newton_step(
    camera_from_world: Float[np.ndarray, "g l 4 4"],
    focal: Float[np.ndarray, "g l 2"],
    rays: Float[np.ndarray, "g l 2"],
    points: Float[np.ndarray, "g 3"],
) -> Float[np.ndarray, "g 3"]:
    """Minimises the squared reprojection error, pixels; 0 where the rays do not fix the point."""
    local = _to_cameras(camera_from_world, points)
    depth = local[..., 2:]
    residual = (local[..., :2] / depth - rays) * focal
    rotation = camera_from_world[..., :3, :3]
    # d(x / z)/dX = (row_x - (x / z) row_z) / z, rows of the rotation
    jacobian = (
        rotation[..., :2, :] - (local[..., :2] / depth)[..., None] * rotation[..., 2:, :]
    ) * (focal / depth)[..., None]
    normal = np.einsum("glai,glaj->gij", jacobian, jacobian)
    gradient = np.einsum("glai,gla->gi", jacobian, residual)
    determined = np.isfinite(normal).all((1, 2))
    determined[determined] = np.linalg.cond(normal[determined]) < 1e14
    step = np.zeros_like(points)
    step[determined] = -np.linalg.solve(normal[determined], gradient[determined, :, None])[..., 0]
    return step


def _widest_angle_deg(
    centres: Float[np.ndarray, "g l 3"], points: Float[np.ndarray, "g 3"]
) -> Float[np.ndarray, " g"]:
    """The largest angle between two of a point's rays; the narrower of angle and supplement is
    taken, as a point between two cameras that face each other is badly placed as well."""
    rays = centres - points[:, None]
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    cosine = np.einsum("gli,gmi->glm", rays, rays)
    angle = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return np.minimum(angle, 180.0 - angle).max((1, 2))
