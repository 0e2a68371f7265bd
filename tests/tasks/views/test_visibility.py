"""Warping and visibility for planes, whose places in photos are formulas."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from tasks.views.visibility import visibility, warp
from tests.support.cameras_by_hand import FOCAL, HEIGHT, WIDTH, cameras_at
from tests.support.stacks import stack_of

DEPTH = 5.0


def plane(depth: float = DEPTH) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), depth, np.float32)


def test_a_sideways_photo_of_a_plane_is_shifted() -> None:
    shift_px = 6
    cameras = cameras_at(np.array([[0.0, 0, 0], [shift_px * DEPTH / FOCAL, 0, 0]]))
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    found = warp(plane(), cameras.select([0]), photo, cameras.select([1]))
    np.testing.assert_allclose(found[:, shift_px:], photo[:, : WIDTH - shift_px] / 255, atol=1e-3)
    np.testing.assert_allclose(  # its border is repeated
        found[:, :shift_px], np.repeat(photo[:, :1] / 255, shift_px, axis=1), atol=1e-3
    )


def test_a_turned_photo_is_sampled_where_the_points_fall() -> None:
    turn = Rotation.from_rotvec(np.array([[0, 0, 0], [0.05, -0.1, 0.2]]))
    cameras = cameras_at(np.array([[0.0, 0, 0], [0.4, -0.3, 0.5]]), turn)
    generator = np.random.default_rng(1)
    photo = generator.integers(0, 256, (HEIGHT + 7, WIDTH + 9, 1), dtype=np.uint8)  # padded
    depth = (DEPTH + generator.random((HEIGHT, WIDTH))).astype(np.float32)

    found = warp(depth, cameras.select([0]), photo, cameras.select([1]))

    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], -1)
    points = rays * depth[..., None].astype(np.float64)
    pose = cameras.camera_from_world[1]
    pixels = (points @ pose[:3, :3].T + pose[:3, 3]) @ cameras.intrinsics[1].T
    u, v = pixels[..., 0] / pixels[..., 2] - 0.5, pixels[..., 1] / pixels[..., 2] - 0.5
    inside = photo[:HEIGHT, :WIDTH, 0].astype(np.float64) / 255
    expected = map_coordinates(inside, [v, u], order=1, mode="nearest")
    np.testing.assert_allclose(found[..., 0], expected, atol=2e-3)


def test_visibility_fades_for_points_behind_a_photos_surface() -> None:
    cameras = cameras_at(np.zeros((4, 3)))
    surfaces = np.stack([plane(DEPTH), plane(0.95 * DEPTH), plane(0.5 * DEPTH), plane(2 * DEPTH)])
    seen = visibility(plane(), cameras.select([0]), stack_of(cameras, surfaces), range(4))
    expected = np.exp([0, -1, -10, 0])
    np.testing.assert_allclose(seen.per_pixel[:, 20, 30], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(seen.score, expected, rtol=1e-3, atol=1e-5)  # the same ray


def test_photos_from_another_side_have_less_weight() -> None:
    # All look at the point in the middle of the plane, from 0, 0.35 and 0.7 rad aside.
    angles = np.array([0.0, 0.35, 0.7])
    centres = DEPTH * np.stack([np.sin(angles), np.zeros(3), 1 - np.cos(angles)], axis=1)
    turns = Rotation.from_rotvec(-angles[:, None] * np.array([0, 1.0, 0]))
    cameras = cameras_at(centres, turns, size=(2 * WIDTH + 1, 2 * HEIGHT + 1))
    one_pixel = cameras_at(np.zeros((1, 3)), size=(1, 1))
    depth = np.full((1, 1), DEPTH, np.float32)
    surfaces = np.full((3, 2 * HEIGHT + 1, 2 * WIDTH + 1), 2 * DEPTH)
    seen = visibility(depth, one_pixel, stack_of(cameras, surfaces), [2, 0, 1])
    np.testing.assert_allclose(seen.score, np.exp([-2, 0, -1]), rtol=1e-3)


def test_points_outside_the_frame_behind_the_camera_or_masked_are_not_visible() -> None:
    centres = np.array([[0.0, 0, 0], [0, 0, 2 * DEPTH], [3.0, 0, 0], [0, 0, 0]])
    cameras = cameras_at(centres)
    stack = stack_of(cameras, np.stack([plane(9 * DEPTH)] * 4))
    stack.usable[3, :, :10] = False
    seen = visibility(plane(), cameras.select([0]), stack, range(4))
    assert seen.per_pixel[0].min() == 1
    assert seen.per_pixel[1].max() == 0  # the plane is behind it
    shift_px = int(3 * FOCAL / DEPTH)
    assert seen.per_pixel[2, :, :shift_px].max() == 0
    assert seen.per_pixel[2, :, shift_px:].min() == 1
    assert seen.per_pixel[3, :, :10].max() == 0
    assert seen.score[3] == pytest.approx(50 / 60, rel=1e-3)
