"""A model against GPS positions: a similarity that outliers do not move."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float64

from tasks.metrics.similarity import Similarity

MOST_SAMPLES = 200
"""With 4 of 10 positions wrong, one in 10^21 fits sees no sample of right ones."""
OUTLIER_FACTOR = 3.0
"""In units of the median residual: normal errors in three dimensions exceed it once in 2000."""
MIN_INLIER_SHARE = 0.6
MAX_RELATIVE_RESIDUAL = 0.2
"""Residual over the extent of the positions, both root mean squares, above which positions are
noise."""
HEIGHT_DRIFT_M = 1.0
"""What heights may be off together in a part of a scene, which tilts it and leaves no residual."""
SAME_PLACE_M = 0.1

Fit = Callable[[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]], Similarity | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GpsFit:
    """Where positions put a model."""

    similarity: Similarity
    """Metres from model units."""
    inliers: Bool[np.ndarray, " n"]
    residual_m: float
    """Root mean square distance of the inliers, corrected for what was fitted."""
    tilt_error_rad: float
    """Standard error of the direction of gravity; large where positions leave it free."""


def fit_upright(
    centres: Float64[np.ndarray, "n 3"],
    positions_m: Float64[np.ndarray, "n 3"],
    up: Float64[np.ndarray, "3"],
) -> GpsFit | None:
    """Scale, heading and place of a model whose vertical is known.

    Args:
        centres: of cameras, model units.
        positions_m: east, north, up; NaN where unknown, or only the height.
        up: unit vector in the model.

    Returns:
        None where positions do not determine it: fewer than 4 different ones, or their residual
        is above a fifth of their extent.
    """
    return _fit(
        centres, positions_m, lambda c, p: _upright(c, p, up), parameters=5, sample=2, fewest=4
    )


def fit_freely(
    centres: Float64[np.ndarray, "n 3"], positions_m: Float64[np.ndarray, "n 3"]
) -> GpsFit | None:
    """Scale, orientation and place of a model, by positions with a height.

    The rotation about a straight path is free, so ``tilt_error_rad`` must be looked at.

    Returns:
        None as :func:`fit_upright`; 5 positions are needed.
    """
    with_height = np.where(np.isfinite(positions_m[:, 2:]), positions_m, np.nan)
    return _fit(centres, with_height, _free, parameters=7, sample=3, fewest=5)


def _fit(
    centres: Float64[np.ndarray, "n 3"],
    positions_m: Float64[np.ndarray, "n 3"],
    fit: Fit,
    *,
    parameters: int,
    sample: int,
    fewest: int,
) -> GpsFit | None:
    """Least median of squares over small samples, then least squares over what agrees.

    Source: Rousseeuw, JASA 79(388), 1984.
    """
    known = np.flatnonzero(np.isfinite(positions_m[:, :2]).all(1))
    model, target = centres[known], positions_m[known]
    if _places(target) < fewest:
        return None
    best: tuple[float, Similarity] | None = None
    for chosen in _samples(len(known), sample):
        found = fit(model[chosen], target[chosen])
        if found is not None:
            median = float(np.median(_distances(found, model, target)))
            if best is None or median < best[0]:
                best = median, found
    if best is None:
        return None
    median, similarity = best
    inliers = np.zeros(len(known), dtype=bool)
    for _ in range(5):
        distances = _distances(similarity, model, target)
        inliers = distances <= OUTLIER_FACTOR * max(float(np.median(distances)), 1e-6)
        refined = fit(model[inliers], target[inliers])
        if refined is None:
            return None
        similarity = refined
    numbers = int(np.isfinite(target[inliers]).sum())
    if _places(target[inliers]) < max(fewest, MIN_INLIER_SHARE * _places(target)):
        return None
    squares = float((_distances(similarity, model, target)[inliers] ** 2).sum())
    residual_m = float(np.sqrt(squares / inliers.sum() * numbers / max(numbers - parameters, 1)))
    spread_m = similarity.scale * _spread(model[inliers])
    if residual_m > MAX_RELATIVE_RESIDUAL * float(np.linalg.norm(spread_m)):
        return None
    everyone = np.zeros(len(centres), dtype=bool)
    everyone[known[inliers]] = True
    return GpsFit(
        similarity=similarity,
        inliers=everyone,
        residual_m=residual_m,
        # The rotation about the longest axis is held by the spread along the second.
        tilt_error_rad=float(np.hypot(residual_m / np.sqrt(inliers.sum()), HEIGHT_DRIFT_M))
        / max(float(spread_m[1]), 1e-12),
    )


def _places(positions_m: Float64[np.ndarray, "n 3"]) -> int:
    """Number of different ones: phones repeat the last position that they had."""
    return len(np.unique(np.nan_to_num(positions_m) // SAME_PLACE_M, axis=0))


def _samples(count: int, size: int) -> Iterator[list[int]]:
    if comb(count, size) <= MOST_SAMPLES:
        yield from (list(chosen) for chosen in combinations(range(count), size))
        return
    rng = np.random.default_rng(0)
    for _ in range(MOST_SAMPLES):
        yield rng.choice(count, size, replace=False).tolist()


def _distances(
    similarity: Similarity,
    model: Float64[np.ndarray, "n 3"],
    target: Float64[np.ndarray, "n 3"],
) -> Float64[np.ndarray, " n"]:
    """In the dimensions that are known."""
    return np.asarray(np.linalg.norm(np.nan_to_num(similarity.apply(model) - target), axis=1))


def _spread(points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "3"]:
    """Root mean square along the principal axes, largest first."""
    centred = points - points.mean(0)
    return np.linalg.svd(centred, compute_uv=False)[:3] / np.sqrt(len(points))


def _free(
    model: Float64[np.ndarray, "n 3"], target: Float64[np.ndarray, "n 3"]
) -> Similarity | None:
    """Least squares. Source: Umeyama, TPAMI 13(4), 1991, eqs. 40-43."""
    if len(model) < 3:
        return None
    model_mean, target_mean = model.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (model - model_mean) / len(model)
    variance = float(((model - model_mean) ** 2).sum(1).mean())
    if variance <= 0:
        return None
    u, spread, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.linalg.det(u @ vt)])
    rotation = (u * signs) @ vt
    return _similarity(float((spread * signs).sum() / variance), rotation, model_mean, target_mean)


def _upright(
    model: Float64[np.ndarray, "n 3"],
    target: Float64[np.ndarray, "n 3"],
    up: Float64[np.ndarray, "3"],
) -> Similarity | None:
    """Least squares over heading, scale and place; unknown heights count nothing."""
    if len(model) < 2:
        return None
    level = rotation_to_z(up)
    turned = model @ level.T
    heights = np.isfinite(target[:, 2])
    model_mean = np.array(
        [*turned[:, :2].mean(0), turned[heights, 2].mean() if heights.any() else 0]
    )
    target_mean = np.array(
        [*target[:, :2].mean(0), target[heights, 2].mean() if heights.any() else 0]
    )
    here, there = turned - model_mean, np.where(np.isfinite(target), target - target_mean, 0.0)
    here[~heights, 2] = 0.0
    one, other = here[:, 0] + 1j * here[:, 1], there[:, 0] + 1j * there[:, 1]
    product = (np.conj(one) * other).sum()
    variance = float((here**2).sum())
    scale = (abs(product) + float((here[:, 2] * there[:, 2]).sum())) / max(variance, 1e-300)
    if variance <= 0 or abs(product) == 0 or not scale > 0:
        return None
    cos, sin = product.real / abs(product), product.imag / abs(product)
    heading = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    rotation = heading @ level
    return Similarity(
        scale=scale,
        rotation=rotation,
        translation=target_mean - scale * heading @ model_mean,
    )


def _similarity(
    scale: float,
    rotation: Float64[np.ndarray, "3 3"],
    model_mean: Float64[np.ndarray, "3"],
    target_mean: Float64[np.ndarray, "3"],
) -> Similarity | None:
    if not scale > 0:
        return None
    return Similarity(
        scale=scale,
        rotation=rotation,
        translation=target_mean - scale * rotation @ model_mean,
    )


def rotation_to_z(up: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """The smallest rotation that takes a unit vector to the z axis."""
    axis = np.cross(up, [0.0, 0.0, 1.0])
    cosine = float(up[2])
    if cosine < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + cosine))
