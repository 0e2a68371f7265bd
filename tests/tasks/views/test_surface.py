"""Surface gaps and errors of points before a plane, against closed forms."""

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from tasks.views.surface import meet_surface
from tests.support.cameras_by_hand import FOCAL, HEIGHT, WIDTH, cameras_at
from tests.support.stacks import stack_of

DEPTH = 5.0


def flat(*values: float) -> np.ndarray:
    return np.stack([np.full((HEIGHT, WIDTH), value) for value in values])


def points(depth: float = DEPTH) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), depth, np.float32)


def test_the_gap_is_the_least_and_the_error_the_mean_of_the_photos() -> None:
    cameras = cameras_at(np.zeros((3, 3)))
    stack = stack_of(cameras, flat(0.5 * DEPTH, 1.1 * DEPTH, 3 * DEPTH), flat(51, 102, 255))

    found = meet_surface(points(), cameras.select([0]), stack, [0, 1])

    np.testing.assert_allclose(found.gap, 0.1, rtol=1e-4)
    np.testing.assert_allclose(found.error, (51 + 102) / 2 / 255, rtol=1e-4)


def test_the_gap_is_a_share_of_the_depth_in_the_photo_and_at_most_one() -> None:
    cameras = cameras_at(np.array([[0, 0, 0], [0, 0, 3.0]]))  # the second is 2 before the points
    stack = stack_of(cameras, flat(9 * DEPTH, 2.5), flat(0, 0))

    near = meet_surface(points(), cameras.select([0]), stack, [1])
    far = meet_surface(points(), cameras.select([0]), stack, [0])

    middle = (slice(16, 24), slice(24, 36))  # the others lie outside it
    np.testing.assert_allclose(near.gap[middle], 0.25, rtol=1e-4)
    np.testing.assert_array_equal(far.gap, 1)


def test_photos_where_a_point_is_not_visible_do_not_affect_its_gap_or_error() -> None:
    shift_px = 6
    cameras = cameras_at(
        np.array([[0.0, 0, 0], [shift_px * DEPTH / FOCAL, 0, 0], [0, 0, 2 * DEPTH]])
    )
    usable = np.ones((3, HEIGHT, WIDTH), bool)
    usable[1, :5] = False
    stack = stack_of(cameras, flat(9 * DEPTH, DEPTH, DEPTH), flat(0, 51, 255), usable)

    found = meet_surface(points(), cameras.select([0]), stack, [1, 2])  # the last looks away

    seen = np.zeros((HEIGHT, WIDTH), bool)
    seen[5:, shift_px:] = True
    np.testing.assert_allclose(found.gap[seen], 0, atol=1e-5)
    np.testing.assert_allclose(found.error[seen], 0.2, rtol=1e-4)
    np.testing.assert_array_equal(found.gap[~seen], 1)
    np.testing.assert_array_equal(found.error[~seen], 0)


def test_photos_are_sampled_at_the_projections_of_the_points() -> None:
    turn = Rotation.from_rotvec(np.array([[0, 0, 0], [0.05, -0.1, 0.2]]))
    cameras = cameras_at(np.array([[0.0, 0, 0], [0.1, -0.1, 0.3]]), turn)
    random = np.random.default_rng(1)
    depth = (DEPTH + random.random((HEIGHT, WIDTH))).astype(np.float32)
    surfaces = DEPTH + random.random((2, HEIGHT, WIDTH))
    errors = random.integers(0, 256, (2, HEIGHT, WIDTH))

    found = meet_surface(depth, cameras.select([0]), stack_of(cameras, surfaces, errors), [1])

    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], -1)
    pose = cameras.camera_from_world[1]
    there = rays * depth[..., None].astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    u, v, far = np.moveaxis(there @ cameras.intrinsics[1].T, -1, 0)
    u, v = u / far, v / far
    seen = (u > 0.01) & (u < WIDTH - 0.01) & (v > 0.01) & (v < HEIGHT - 0.01)
    places = [v - 0.5, u - 0.5]
    surface = map_coordinates(surfaces[1], places, order=1, mode="nearest")
    error = map_coordinates(errors[1] / 255, places, order=1, mode="nearest")
    assert 0.4 < seen.mean() < 1
    np.testing.assert_allclose(found.gap[seen], (np.abs(far - surface) / far)[seen], atol=1e-4)
    np.testing.assert_allclose(found.error[seen], error[seen], atol=2e-3)
