"""Triangulation against points that were projected by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from tasks.cameras import Cameras
from tasks.sfm.triangulate import Observations, sample_colours, triangulate_tracks
from tests.support.ring_of_cameras import project, ring_of_cameras


def observe(cameras: Cameras, points: np.ndarray, seen_by: list[list[int]]) -> Observations:
    rows = [(p, photo) for p, photos in enumerate(seen_by) for photo in photos]
    return Observations(
        point_index=np.array([p for p, _ in rows], dtype=np.int32),
        photo_index=np.array([photo for _, photo in rows], dtype=np.int32),
        xy=np.array(
            [project(cameras, photo, points[p]) for p, photo in rows], dtype=np.float32
        ).reshape(-1, 2),
    )


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_exact_tracks_of_any_length_recover_their_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cameras = ring_of_cameras(6, seed)
    points = rng.uniform(-1, 1, (20, 3))
    seen_by = [sorted(rng.choice(6, rng.integers(2, 7), replace=False)) for _ in points]

    found = triangulate_tracks(cameras, observe(cameras, points, seen_by), min_angle_deg=0.0)

    np.testing.assert_array_equal(found.tracks, np.arange(20))
    # the observations are float32: some 1e-5 px, over rays that differ by 0.3 rad and more
    np.testing.assert_allclose(found.points, points, atol=2e-6)


def test_noisy_tracks_are_refined_to_the_least_squares_point() -> None:
    rng = np.random.default_rng(3)
    cameras = ring_of_cameras(4)
    points = rng.uniform(-1, 1, (5, 3))
    exact = observe(cameras, points, [[0, 1, 2, 3]] * 5)
    xy = exact.xy + rng.normal(0, 1.0, exact.xy.shape).astype(np.float32)
    noisy = Observations(point_index=exact.point_index, photo_index=exact.photo_index, xy=xy)

    found = triangulate_tracks(cameras, noisy, max_error_px=100.0)

    for index in range(5):
        seen = xy[exact.point_index == index].astype(np.float64)
        best = least_squares(
            lambda x, seen=seen: np.concatenate(
                [project(cameras, photo, x) - seen[photo] for photo in range(4)]
            ),
            points[index],
            xtol=1e-14,
            ftol=1e-14,
        ).x
        np.testing.assert_allclose(found.points[index], best, atol=1e-6)


def test_points_behind_a_camera_are_dropped() -> None:
    cameras = ring_of_cameras(2)
    behind = np.array([[0.0, 0.1, -20.0]])
    assert (cameras.camera_from_world @ np.append(behind, 1))[:, 2].max() < 0
    found = triangulate_tracks(cameras, observe(cameras, behind, [[0, 1]]))
    assert len(found.points) == 0


def test_points_with_large_errors_are_dropped() -> None:
    cameras = ring_of_cameras(3)
    exact = observe(cameras, np.array([[0.2, 0.1, 0.0]]), [[0, 1, 2]])
    xy = exact.xy.copy()
    xy[1, 1] += 60  # across the epipolar lines, so no other point explains it
    wrong = Observations(point_index=exact.point_index, photo_index=exact.photo_index, xy=xy)

    assert len(triangulate_tracks(cameras, wrong).points) == 0
    assert len(triangulate_tracks(cameras, wrong, max_error_px=60.0).points) == 1


@pytest.mark.parametrize(("distance", "kept"), [(30.0, True), (50.0, False)])
def test_points_under_a_narrow_angle_are_dropped(distance: float, kept: bool) -> None:
    cameras = ring_of_cameras(2)
    camera_from_world = np.tile(np.eye(4), (2, 1, 1))
    camera_from_world[1, 0, 3] = -1.0  # a baseline of 1: 1.91 deg at 30, 1.15 deg at 50
    pair = Cameras(
        names=cameras.names,
        camera_from_world=camera_from_world,
        intrinsics=cameras.intrinsics,
        sizes=cameras.sizes,
    )
    point = np.array([[0.5, 0.0, distance]])

    found = triangulate_tracks(pair, observe(pair, point, [[0, 1]]))

    assert len(found.points) == int(kept)


def test_two_observations_in_one_photo_do_not_make_a_point() -> None:
    cameras = ring_of_cameras(1)
    point = np.array([[0.2, 0.1, 0.0]])
    found = triangulate_tracks(cameras, observe(cameras, point, [[0, 0]]))
    assert len(found.points) == 0


def test_no_observations_give_no_points() -> None:
    cameras = ring_of_cameras(2)
    found = triangulate_tracks(cameras, observe(cameras, np.zeros((0, 3)), []))
    assert found.points.shape == (0, 3)
    assert found.tracks.shape == (0,)


def test_colours_are_bilinear_and_averaged_over_the_photos() -> None:
    # Red grows by 10 a column, green by 20 a row: centre of pixel (x, y) at (x + 0.5, y + 0.5).
    y, x = np.mgrid[:6, :9]
    ramp = np.stack([10 * x, 20 * y, np.zeros_like(x)], axis=-1).astype(np.uint8)
    blue = np.full((4, 4, 3), [0, 0, 200], dtype=np.uint8)
    observations = Observations(
        point_index=np.array([0, 0, 2, 3], dtype=np.int32),
        photo_index=np.array([0, 1, 0, 0], dtype=np.int32),
        xy=np.array([[3.5, 2.5], [1, 1], [4.25, 1.0], [-2, 3]], dtype=np.float32),
    )

    found = sample_colours(
        observations,
        np.array([0, 2, 3]),
        [ramp, blue],
    )

    expected = np.array([[15, 20, 100], [37.5, 10, 0], [127.5, 127.5, 127.5]]) / 255
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_colours_at_the_border_are_clamped_to_the_border() -> None:
    image = np.array([[[10, 0, 0], [20, 0, 0]]], dtype=np.uint8)  # one row of two pixels
    observations = Observations(
        point_index=np.arange(3, dtype=np.int32),
        photo_index=np.zeros(3, dtype=np.int32),
        xy=np.array([[0, 0], [2, 1], [1, 0.5]], dtype=np.float32),
    )
    found = sample_colours(observations, np.arange(3), [image])
    np.testing.assert_allclose(found[:, 0] * 255, [10, 20, 15], atol=1e-5)
