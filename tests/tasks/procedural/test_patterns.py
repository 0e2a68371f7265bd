"""Procedural patterns at near and far distances."""

import numpy as np
import pytest
from jaxtyping import Float64

from tasks.procedural.materials import Pattern, albedo, linear_rgb

COLOURS = np.array([[linear_rgb(c) for c in ("#c8a070", "#806040", "#404858")]])
HALF_M = 2.0


def seen(pattern: Pattern, width_m: float, points: int) -> Float64[np.ndarray, "n n 3"]:
    """Albedo on a grid of points over the middle of a face of 4 x 4 m, scale 0.2 m."""
    places = np.linspace(-1.0, 1.0, points)
    colours = [
        albedo(pattern, 0.2, COLOURS, 0, 9, u, 0.0, v, u, v, HALF_M, HALF_M, width_m)
        for v in places
        for u in places
    ]
    return np.array(colours).reshape(points, points, 3)


@pytest.mark.parametrize("pattern", list(Pattern))
def test_reflectance_is_physically_plausible(pattern: Pattern) -> None:
    near = seen(pattern, 0.002, 80)
    assert np.isfinite(near).all()
    assert near.min() > -0.05
    assert near.max() < 1.4
    assert near.std() > 0.002


@pytest.mark.parametrize(
    "pattern",
    [
        Pattern.PLAIN,
        Pattern.SPECKLE,
        Pattern.SIDING,
        Pattern.SHINGLES,
        Pattern.GLYPHS,
        Pattern.PRINT,
    ],
)
def test_a_distant_pattern_is_near_its_mean_and_smoother(pattern: Pattern) -> None:
    near, far = seen(pattern, 0.002, 160), seen(pattern, 0.4, 40)
    np.testing.assert_allclose(far.mean((0, 1)), near.mean((0, 1)), rtol=0.25, atol=0.03)
    rough_near = np.abs(np.diff(near, axis=1)).mean()
    rough_far = np.abs(np.diff(far, axis=1)).mean() / 4.0  # its points lie four times as far apart
    assert rough_far < rough_near
