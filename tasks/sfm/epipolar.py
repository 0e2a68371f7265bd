"""How well matches between two photos fit their poses."""

import numpy as np
from jaxtyping import Float64


def epipolar_errors(
    first: Float64[np.ndarray, "n 2"],
    second: Float64[np.ndarray, "n 2"],
    second_from_first: Float64[np.ndarray, "4 4"],
) -> Float64[np.ndarray, " n"]:
    """First-order distance of each match to the nearest one that fits the two poses.

    Args:
        first: x / z and y / z of each ray in the first camera; ``second``: of its match.

    Returns:
        In units of the focal length; NaN where a ray has no direction.

    Source: Sampson's error, Hartley and Zisserman, Multiple View Geometry, 2nd ed., eq. 11.9.
    """
    x, y, z = second_from_first[:3, 3]
    across = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return _sampson(across @ second_from_first[:3, :3], first, second)


def own_epipolar_errors(
    first: Float64[np.ndarray, "n 2"], second: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, " n"]:
    """The same for the epipolar geometry that the matches themselves give, of any cameras.

    What a right model leaves is hardly more; what wrong intrinsics leave is.

    Args:
        first, second: at least 8 matches, all of them good.

    Source: the normalised eight-point algorithm, Hartley, In Defense of the Eight-Point Algorithm,
    PAMI 1997.
    """
    one, other = _normalisation(first), _normalisation(second)
    pairs = np.einsum("ni,nj->nij", _homogeneous(second) @ other.T, _homogeneous(first) @ one.T)
    rows = pairs.reshape(-1, 9)
    _, axes = np.linalg.eigh(rows.T @ rows)
    u, singular, vt = np.linalg.svd(axes[:, 0].reshape(3, 3))
    rank_two = u @ np.diag([*singular[:2], 0.0]) @ vt
    return _sampson(other.T @ rank_two @ one, first, second)


def _normalisation(xy: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "3 3"]:
    """To mean 0 and a mean distance of sqrt 2 from it."""
    x, y = xy.mean(0)
    distance = np.linalg.norm(xy - [x, y], axis=1).mean()
    scale = np.sqrt(2) / max(distance, np.finfo(np.float64).tiny)
    return np.array([[scale, 0.0, -scale * x], [0.0, scale, -scale * y], [0.0, 0.0, 1.0]])


def _sampson(
    fundamental: Float64[np.ndarray, "3 3"],
    first: Float64[np.ndarray, "n 2"],
    second: Float64[np.ndarray, "n 2"],
) -> Float64[np.ndarray, " n"]:
    first, second = _homogeneous(first), _homogeneous(second)
    line_in_second, line_in_first = first @ fundamental.T, second @ fundamental
    slope = (line_in_second[:, :2] ** 2).sum(1) + (line_in_first[:, :2] ** 2).sum(1)
    # Where both cameras stand in one place every line is 0 / 0, and nothing speaks against a match.
    algebraic = np.abs((second * line_in_second).sum(1))
    return np.asarray(algebraic / np.sqrt(np.maximum(slope, np.finfo(np.float64).tiny)))


def _homogeneous(xy: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 3"]:
    return np.hstack([xy, np.ones((len(xy), 1))])
