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
    essential = across @ second_from_first[:3, :3]
    ones = np.ones((len(first), 1))
    first, second = np.hstack([first, ones]), np.hstack([second, ones])
    line_in_second, line_in_first = first @ essential.T, second @ essential
    slope = (line_in_second[:, :2] ** 2).sum(1) + (line_in_first[:, :2] ** 2).sum(1)
    # Where both cameras stand in one place every line is 0 / 0, and nothing speaks against a match.
    algebraic = np.abs((second * line_in_second).sum(1))
    return algebraic / np.sqrt(np.maximum(slope, np.finfo(np.float64).tiny))
