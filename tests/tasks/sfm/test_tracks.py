"""Tracks linked from matches, against points that were projected by hand."""

from itertools import combinations

import networkx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cameras import Cameras
from tasks.sfm.matches import Matches
from tasks.sfm.tracks import link_tracks, match_errors_px
from tasks.sfm.triangulate import Observations, triangulate_tracks
from tests.support.ring_of_cameras import project, ring_of_cameras

PHOTOS = 5


def matched(cameras: Cameras, points: np.ndarray, pairs: list[tuple[int, int]]) -> Matches:
    """Every point in every photo: keypoint ``photo * len(points) + point``."""
    xy = [project(cameras, photo, point) for photo in range(len(cameras)) for point in points]
    return Matches(
        photo_index=np.repeat(np.arange(len(cameras)), len(points)).astype(np.int32),
        xy=np.array(xy, dtype=np.float32),
        pairs=np.array(pairs, dtype=np.int32).reshape(-1, 2),
    )


def tracks_of(found: Observations) -> set[frozenset[tuple[int, float]]]:
    """Each track as the set of its photos and columns."""
    tracks: dict[int, set[tuple[int, float]]] = {}
    columns = zip(
        found.point_index.tolist(), found.photo_index.tolist(), found.xy[:, 0].tolist(), strict=True
    )
    for track, photo, column in columns:
        tracks.setdefault(track, set()).add((photo, column))
    assert sorted(tracks) == list(range(len(tracks)))
    return {frozenset(track) for track in tracks.values()}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_tracks_are_the_connected_components_of_the_matches(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cameras = ring_of_cameras(PHOTOS, seed)
    points = rng.uniform(-1, 1, (8, 3))
    every = [
        (one * 8 + point, other * 8 + point)
        for point in range(8)
        for one, other in combinations(range(PHOTOS), 2)
    ]
    chosen = [pair for pair in every if rng.random() < 0.2]
    matches = matched(cameras, points, chosen)

    found = link_tracks(cameras, matches)

    components = networkx.connected_components(networkx.Graph(chosen))
    expected = {
        frozenset((int(matches.photo_index[k]), float(matches.xy[k, 0])) for k in component)
        for component in components
    }
    assert tracks_of(found) == expected


def test_matches_that_do_not_fit_the_poses_link_nothing() -> None:
    cameras = ring_of_cameras(3)
    points = np.array([[0.2, 0.1, 0.0], [-0.5, 0.4, 0.3]])
    matches = matched(cameras, points, [(0, 2), (2, 5), (1, 3)])  # the second of two points
    errors_px = match_errors_px(cameras, matches)
    assert errors_px[1] > 4.0
    assert max(errors_px[0], errors_px[2]) < 1e-3

    found = link_tracks(cameras, matches)

    assert found.photo_index.tolist() == [0, 1, 0, 1]


def test_a_false_match_along_the_epipolar_line_does_not_cost_the_tracks_that_it_joins() -> None:
    cameras = ring_of_cameras(4)
    # On one ray of photo 0, a pixel apart in the others: nothing of two photos tells them apart.
    centre = cameras.centres[0]
    near = np.array([0.1, 0.2, 0.0])
    points = np.stack([near, centre + 1.05 * (near - centre)])
    true = [
        (2 * one + point, 2 * other + point)
        for point in (0, 1)
        for one, other in combinations(range(1, 4), 2)
    ]
    matches = matched(cameras, points, [(0, 3), *true, (0, 2), (0, 4), (0, 6)])
    noisy = matches.xy.copy()
    noisy[3] += [0.0, 0.4]  # the false match is worse than the true ones, and fits
    matches = Matches(photo_index=matches.photo_index, xy=noisy, pairs=matches.pairs)
    assert match_errors_px(cameras, matches)[0] < 4.0

    found = link_tracks(cameras, matches)
    placed = triangulate_tracks(cameras, found)

    per_track = [found.photo_index[found.point_index == track].tolist() for track in (0, 1)]
    assert sorted(per_track) == [[0, 1, 2, 3], [1, 2, 3]]
    order = np.argsort(np.linalg.norm(placed.points - centre, axis=1))
    np.testing.assert_allclose(placed.points[order], points, atol=5e-3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_track_shows_a_photo_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cameras = ring_of_cameras(PHOTOS, seed)
    points = rng.uniform(-0.02, 0.02, (6, 3))  # close together, so that false matches fit
    keypoints = rng.integers(0, 6 * PHOTOS, (60, 2))
    pairs = [(a, b) for a, b in keypoints.tolist() if a // 6 != b // 6]
    matches = matched(cameras, points, pairs)

    found = link_tracks(cameras, matches, max_error_px=50.0)

    places = list(zip(found.point_index.tolist(), found.photo_index.tolist(), strict=True))
    assert len(places) == len(set(places))
    assert set(np.bincount(found.point_index).tolist()) <= set(range(2, PHOTOS + 1))


def test_photos_left_out_take_all_their_matches_with_them() -> None:
    cameras = ring_of_cameras(4)
    points = np.array([[0.2, 0.1, 0.0], [-0.5, 0.4, 0.3]])
    # Point 0 links photos 0 and 3 through photo 1 alone; point 1 is matched in 0 and 3.
    matches = matched(cameras, points, [(0, 2), (2, 6), (1, 7)])

    found = link_tracks(cameras.select([0, 3]), matches.only([0, 3]))

    assert found.photo_index.tolist() == [0, 1]
    np.testing.assert_allclose(
        found.xy, [project(cameras, photo, points[1]) for photo in (0, 3)], atol=1e-3
    )


def test_no_matches_link_no_tracks() -> None:
    cameras = ring_of_cameras(2)
    found = link_tracks(cameras, matched(cameras, np.zeros((3, 3)), []))
    assert found.xy.shape == (0, 2)
    assert found.point_index.shape == found.photo_index.shape == (0,)
