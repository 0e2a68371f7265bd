"""Photos are compared with those that show the same at a useful angle, over the points' depths."""

import numpy as np

from tasks.depth.neighbours import neighbourhoods, planes_of, sparse_points
from tasks.depth.reprojection import relative_maps
from tasks.sfm.triangulate import Observations, TriangulatedPoints
from tests.support.planes_seen import CAMERAS, sparse_on
from tests.support.textured_planes import FACING, FOCAL, HEIGHT, WIDTH, cameras_at


def test_photos_at_a_useful_angle_are_preferred() -> None:
    angles_deg = np.array([0.0, 0.5, 3.0, 10.0, 25.0])
    cameras = cameras_at([(3 * np.tan(np.radians(angle)), 0.0, 0.0) for angle in angles_deg])
    sparse = sparse_on(FACING, cameras, spacing=4)
    middle = np.abs(sparse.points[sparse.point_index, :2] - [0.5, 0.0]).max(1) < 0.3
    everyone = type(sparse)(
        points=sparse.points,
        point_index=sparse.point_index[middle],
        photo_index=sparse.photo_index[middle],
    )

    found = neighbourhoods(cameras, everyone, most=4)[0]

    assert found.photos[0] == 3
    assert 1 not in found.photos  # half a degree
    assert neighbourhoods(cameras, everyone, most=1)[0].photos == (3,)


def test_the_depth_range_contains_the_points() -> None:
    for found in neighbourhoods(CAMERAS, sparse_on(FACING, CAMERAS), most=4):
        far, near = found.inverse_range
        assert 0 < far < 1 / 3.1
        assert near > 1 / 2.9


def test_a_photo_with_few_points_has_no_neighbours() -> None:
    sparse = sparse_on(FACING, CAMERAS)
    kept = (sparse.photo_index != 2) | (sparse.point_index < 5)

    found = neighbourhoods(
        CAMERAS,
        type(sparse)(
            points=sparse.points,
            point_index=sparse.point_index[kept],
            photo_index=sparse.photo_index[kept],
        ),
        most=4,
    )

    assert found[2].photos == ()
    assert all(2 not in one.photos for one in found)
    assert all(one.photos for index, one in enumerate(found) if index != 2)


def test_depth_planes_are_about_a_pixel_apart() -> None:
    beside = cameras_at([(0.0, 0.0, 0.0), (0.4, 0.0, 0.0), (0.1, 0.0, 0.0)])
    maps, offsets = relative_maps(beside.select([0]), beside.select([1, 2]))

    planes = planes_of(maps, offsets, (WIDTH, HEIGHT), (0.1, 1.0), most=256)

    between_px = FOCAL * 0.25 * np.diff(planes)  # mean of the two baselines
    assert len(planes) % 16 == 0
    assert (planes[0], planes[-1]) == (np.float32(0.1), np.float32(1.0))
    assert 0.4 < between_px.max() <= 1.05


def test_the_number_of_depth_planes_is_limited() -> None:
    beside = cameras_at([(0.0, 0.0, 0.0), (2.0, 0.0, 0.0)])
    maps, offsets = relative_maps(beside.select([0]), beside.select([1]))

    assert len(planes_of(maps, offsets, (WIDTH, HEIGHT), (0.1, 1.0), most=70)) == 64


def test_sparse_points_keep_the_photos_that_show_them() -> None:
    found = TriangulatedPoints(points=np.eye(3)[:2], tracks=np.array([4, 9], np.int32))
    observations = Observations(
        point_index=np.array([4, 4, 5, 9, 9, 4], np.int32),
        photo_index=np.array([1, 2, 1, 2, 0, 0], np.int32),
        xy=np.zeros((6, 2), np.float32),
    )

    sparse = sparse_points(found, observations)

    pairs = set(zip(sparse.point_index.tolist(), sparse.photo_index.tolist(), strict=True))
    assert pairs == {(0, 1), (0, 2), (0, 0), (1, 2), (1, 0)}  # track 5 gave no point
