"""The kernels against plain references in float64."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from tasks.depth.depth_kernels import ALONE, NOISE, enlarge, match, pick, smooth
from tasks.depth.pyramid import levels_of
from tasks.depth.reprojection import relative_maps
from tests.support.textured_planes import SLANTED, SOURCES, depth_of, photograph

RADIUS = 3


def of_planes() -> tuple[list[np.ndarray], list]:
    photos = [
        np.rint(255 * photograph(SLANTED, SOURCES, index)).astype(np.uint8)
        for index in range(len(SOURCES))
    ]
    return photos, levels_of(SOURCES, photos, [None] * len(photos), coarse_size=96)


def costs_of(others: list[int], inverse: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """As the kernel has them, of photo 0, [h w planes]."""
    (level,) = of_planes()[1]
    maps, offsets = relative_maps(SOURCES.select([0]), SOURCES.select(others))
    costs = np.empty((*inverse.shape, len(steps)), np.uint8)
    match(
        inverse,
        steps,
        level.grey[0],
        maps,
        offsets,
        level.words[others],
        level.sizes[others],
        level.stride,
        costs,
    )
    return costs


def reference_correlation(
    own: np.ndarray, other: np.ndarray, index: int, inverse: np.ndarray
) -> np.ndarray:
    """Of windows wholly inside both photos; nan elsewhere."""
    height, width = own.shape
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns, rows, np.ones_like(columns)], axis=-1)
    rays = pixels @ np.linalg.inv(SOURCES.intrinsics[0]).T
    pose = SOURCES.camera_from_world[index] @ SOURCES.world_from_camera[0]
    there = (rays / inverse[..., None]) @ pose[:3, :3].T + pose[:3, 3]
    projected = there @ SOURCES.intrinsics[index].T
    x, y = (projected[..., axis] / projected[..., 2] - 0.5 for axis in (0, 1))
    samples = map_coordinates(other.astype(np.float64), [y, x], order=1, mode="nearest")
    samples[(x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)] = np.nan
    found = np.full(own.shape, np.nan)
    for row in range(RADIUS, height - RADIUS):
        for column in range(RADIUS, width - RADIUS):
            window = (
                slice(row - RADIUS, row + RADIUS + 1),
                slice(column - RADIUS, column + RADIUS + 1),
            )
            a, b = own[window].astype(np.float64), samples[window]
            covariance = (a * b).mean() - a.mean() * b.mean()
            found[row, column] = covariance / np.sqrt((a.var() + NOISE) * (b.var() + NOISE))
    return found


@pytest.mark.parametrize("error", [0.93, 1.0, 1.04])
def test_matching_costs_match_a_plain_correlation(error: float) -> None:
    (level,) = of_planes()[1]
    inverse = (error / depth_of(SLANTED, SOURCES, 0)).astype(np.float32)

    costs = costs_of([1, 2], inverse, np.zeros(1, np.float32))[..., 0]

    each = np.stack(
        [
            reference_correlation(level.grey[0], level.grey[other], other, inverse)
            for other in (1, 2)
        ]
    )
    expected = 1 - np.maximum(each, 0)
    both = np.isfinite(expected).all(0)
    assert both.mean() > 0.5
    np.testing.assert_allclose(costs[both] / 255, expected.mean(0)[both], atol=0.006)
    # The kernel asks for windows wholly inside, this reference for the same: alike at the borders.
    inner = np.zeros(both.shape, bool)
    inner[RADIUS:-RADIUS, RADIUS:-RADIUS] = True
    one = inner & (np.isfinite(expected).sum(0) == 1)
    alone = np.minimum(np.nanmin(np.where(one, expected, 0), 0) + ALONE, 1)
    np.testing.assert_allclose(costs[one] / 255, alone[one], atol=0.006)
    assert (costs[inner & np.isnan(expected).all(0)] == 255).all()


def test_smoothing_matches_the_recursion_of_the_paper() -> None:
    random = np.random.default_rng(0)
    costs = random.integers(0, 256, (5, 7, 16)).astype(np.uint8)
    grey = random.integers(1, 256, (5, 7)).astype(np.uint8)
    small, large, edge = 10.0, 60.0, 20.0
    sums = np.empty((2, *costs.shape), np.uint16)

    smooth(costs, grey, np.float32(small), np.float32(large), np.float32(edge), sums)

    expected = np.zeros(costs.shape)
    for down, right in [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]:
        path = np.zeros(costs.shape)
        order = [(r, c) for r in range(5) for c in range(7)]
        if (down, right) < (0, 0) or (down == 0 and right < 0):
            order.reverse()
        for r, c in order:
            path[r, c] = costs[r, c]
            r0, c0 = r - down, c - right
            if not (0 <= r0 < 5 and 0 <= c0 < 7):
                continue
            before = path[r0, c0]
            jump = max(small, large * edge / (edge + abs(int(grey[r, c]) - int(grey[r0, c0]))))
            for plane in range(16):
                ways = [before[plane], before.min() + jump]
                ways += [before[p] + small for p in (plane - 1, plane + 1) if 0 <= p < 16]
                path[r, c, plane] += min(ways) - before.min()
        expected += path
    # Each half is rounded down to whole numbers.
    assert np.abs(sums.astype(int).sum(0) - expected).max() <= 2


def test_the_cost_minimum_is_interpolated_between_depth_planes() -> None:
    steps = np.linspace(-0.2, 0.2, 9).astype(np.float32)
    places = np.array([[-0.12, 0.0, 0.07, 0.2]], np.float32)
    costs = np.rint(1000 * (steps - places[..., None]) ** 2).astype(np.uint8)
    inverse = np.full(places.shape, 0.5, np.float32)
    found, cost = np.empty_like(inverse), np.empty_like(inverse)

    pick(costs, inverse, steps, found, cost)

    np.testing.assert_allclose(found, 0.5 + places, atol=0.005)
    np.testing.assert_allclose(cost, costs.min(-1) / 255, rtol=1e-6)


def test_upsampling_keeps_planes_exact_and_edges_sharp() -> None:
    rows, columns = np.mgrid[0:6, 0:8] + 0.5
    plane = (0.3 + 0.01 * columns - 0.02 * rows).astype(np.float32)
    stepped = np.where(columns > 4, plane + 1, plane).astype(np.float32)
    enlarged = np.empty((12, 16), np.float32)

    enlarge(plane, np.float32(0.1), enlarged)

    fine_rows, fine_columns = (np.mgrid[0:12, 0:16] + 0.5) / 2
    inner = (slice(1, -1), slice(1, -1))
    expected = 0.3 + 0.01 * fine_columns - 0.02 * fine_rows
    np.testing.assert_allclose(enlarged[inner], expected[inner], atol=1e-6)

    enlarge(stepped, np.float32(0.1), enlarged)

    assert ((enlarged < 0.5) == (fine_columns < 4)).all()
