"""Dense points lie on the surface once, with its colours and spacing."""

import numpy as np
import pytest

from tasks.depth.config import DenseConfig
from tasks.depth.depth_maps import DepthMap
from tasks.splat.init.dense import DensePoints, dense_points
from tests.support.planes_seen import CAMERAS, CONFIG, photographs, world_points
from tests.support.textured_planes import FACING, FOCAL, HEIGHT, SLANTED, WIDTH, Plane, depth_of


def exact_maps(plane: Plane) -> list[DepthMap]:
    depths = [depth_of(plane, CAMERAS, index) for index in range(len(CAMERAS))]
    return [DepthMap(depth=depth, confidence=np.ones_like(depth)) for depth in depths]


def points_on(plane: Plane, config: DenseConfig = CONFIG) -> DensePoints:
    return dense_points(CAMERAS, photographs(plane, CAMERAS), exact_maps(plane), config)


@pytest.mark.parametrize("plane", [FACING, SLANTED], ids=["facing", "slanted"])
def test_dense_points_lie_on_the_plane(plane: Plane) -> None:
    found = points_on(plane)

    np.testing.assert_allclose(found.points @ plane.normal, plane.offset, rtol=1e-5)


def test_a_surface_gets_one_layer_however_many_photos_show_it() -> None:
    found = points_on(FACING)

    cells = (WIDTH // 2) * (HEIGHT // 2)
    world = np.concatenate(
        [world_points(CAMERAS, i, m.depth).reshape(-1, 3) for i, m in enumerate(exact_maps(FACING))]
    )
    covered = np.unique(np.floor(world[:, :2] / (2 * 3.0 / FOCAL)), axis=0)
    assert cells < len(found) < 1.3 * len(covered)
    assert len(covered) < 0.5 * len(CAMERAS) * cells


def test_scales_match_the_grid_cell_edges() -> None:
    found = points_on(FACING)

    # Cameras are up to 0.1 nearer to the plane or farther from it than 3.
    assert found.scales.min() >= 2 * 2.9 / FOCAL - 1e-6
    assert found.scales.max() <= 2 * 3.1 / FOCAL + 1e-6


def test_dense_point_colours_match_the_photos() -> None:
    plain = [np.full((HEIGHT, WIDTH, 3), [255, 51, 0], np.uint8)] * len(CAMERAS)

    found = dense_points(CAMERAS, plain, exact_maps(SLANTED), CONFIG)

    np.testing.assert_allclose(found.colours, np.tile([1, 0.2, 0], (len(found), 1)), atol=1e-6)


def test_too_many_points_are_thinned_and_widened() -> None:
    every = points_on(FACING)

    fewer = points_on(FACING, DenseConfig(coarse_size=48, max_points=len(every) // 4))

    assert 0.95 * len(every) / 4 <= len(fewer) <= len(every) / 4
    assert np.median(fewer.scales) == pytest.approx(2 * np.median(every.scales), rel=0.02)
    # Still all over the plane: no sixth of its width is without its share.
    counts, _ = np.histogram(fewer.points[:, 0], 6, (-1.5, 1.5))
    assert counts.min() > 0.5 * counts.mean()


def test_unknown_depths_give_no_points() -> None:
    nothing = [
        DepthMap(depth=np.zeros_like(one.depth), confidence=np.zeros_like(one.depth))
        for one in exact_maps(FACING)
    ]

    found = dense_points(CAMERAS, photographs(FACING, CAMERAS), nothing, CONFIG)

    assert len(found) == 0
    assert found.points.shape == (0, 3)


def test_a_limit_of_zero_points_gives_no_points() -> None:
    assert len(points_on(FACING, DenseConfig(max_points=0))) == 0


def test_occluding_surfaces_keep_separate_points() -> None:
    maps = exact_maps(FACING)
    farther = [
        DepthMap(depth=one.depth * 1.5, confidence=one.confidence) if index == 1 else one
        for index, one in enumerate(maps)
    ]

    found = dense_points(CAMERAS, photographs(FACING, CAMERAS), farther, CONFIG)

    behind = found.points[:, 2] > 4
    assert behind.sum() == (WIDTH // 2) * (HEIGHT // 2)
    assert (~behind).sum() > behind.sum()
