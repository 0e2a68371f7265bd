"""Single rays and clearances against analytic answers."""

import numpy as np

from tasks.cameras import Cameras
from tasks.procedural.build import look_at
from tasks.procedural.trace import Shape, pack
from tasks.procedural.visibility import cast, clearance, sampled_depth, seen_from
from tests.support.handmade_solids import solid


def one_camera() -> Cameras:
    """At (0, -5, 0), looking along y; 60 x 40 pixels, 60 px focal length."""
    return Cameras(
        names=("0000.jpg",),
        camera_from_world=look_at((0.0, -5.0, 0.0), (0.0, 0.0, 0.0))[None],
        intrinsics=np.array([[[60.0, 0.0, 30.0], [0.0, 60.0, 20.0], [0.0, 0.0, 1.0]]]),
        sizes=np.array([[60, 40]], np.int64),
    )


def test_a_ray_either_hits_the_sphere_or_misses_everything() -> None:
    solids = pack([solid(Shape.BALL, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))])
    origins = np.array([[0.0, -5.0, 0.0], [0.6, -5.0, 0.0], [1.1, -5.0, 0.0]])
    directions = np.tile([0.0, 2.0, 0.0], (3, 1))
    np.testing.assert_allclose(cast(solids, origins, directions), [2.0, 2.1, np.inf])


def test_sampled_depth_of_a_wall_is_constant_and_its_points_lie_on_the_wall() -> None:
    solids = pack([solid(Shape.BOX, (0.0, 1.0, 0.0), (1.0, 1.0, 9.0))])
    cameras = one_camera()
    depth, rays = sampled_depth(solids, cameras, 0, columns=6, rows=4)
    assert depth.shape == (24,)
    across = 5.0 * (10.0 * np.arange(6) + 5.0 - 30.0) / 60.0
    expected = np.where(np.abs(across) < 1.0, 5.0, np.inf)
    np.testing.assert_allclose(depth.reshape(4, 6), np.tile(expected, (4, 1)))
    hit = np.isfinite(depth)
    points = cameras.centres[0] + depth[hit, None] * rays[hit]
    np.testing.assert_allclose(points[:, 1], 0.0, atol=1e-12)
    assert points[0, 2] > points[-1, 2]  # the first row is the upper one


def test_points_are_visible_unless_occluded_outside_the_frame_or_behind() -> None:
    wall = solid(Shape.BOX, (0.0, 1.0, 0.0), (50.0, 1.0, 50.0))
    screen = solid(Shape.BOX, (-1.0, -2.0, 0.0), (0.4, 0.1, 0.4))
    points = np.array(
        [
            [0.5, 0.0, 0.2],
            [-1.6, 0.0, 0.0],  # behind the screen: it hides x from -2.41 to -0.97 on the wall
            [2.6, 0.0, 0.0],  # 31 px right of the middle
            [0.0, 0.0, 1.7],  # 20.4 px above it
            [0.0, -9.0, 0.0],  # behind the camera
        ]
    )
    found = seen_from(pack([wall, screen]), one_camera(), 0, points)
    np.testing.assert_array_equal(found, [True, False, False, False, False])


def test_clearance_enlarges_every_shape() -> None:
    solids = pack(
        [
            solid(Shape.BOX, (0.0, 0.0, 0.0), (1.0, 2.0, 3.0)),
            solid(Shape.BALL, (10.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
            solid(Shape.CYLINDER, (20.0, 0.0, 0.0), (1.0, 1.0, 2.0)),
        ]
    )
    points = np.array(
        [
            [0.5, 0.5, 0.5],  # inside
            [1.4, 0.0, 0.0],
            [1.6, 0.0, 0.0],
            [10.0, 1.4, 0.0],
            [10.0, 1.1, 1.1],  # 0.56 away, by Pythagoras
            [20.0, 1.6, 0.0],
            [20.9, 0.0, 2.4],
            [20.0, 0.0, 2.6],
        ]
    )
    expected = [False, False, True, False, True, True, False, True]
    np.testing.assert_array_equal(clearance(solids, points, 0.5), expected)
