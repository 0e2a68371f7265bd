"""Paths along cameras whose places are formulas."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras
from tasks.errors import DegenerateGeometryError
from tasks.film.paths import along, capture_kind, ellipse, facing, focus_point, spiral, spline
from tests.support.cameras_by_hand import about, cameras_at, forwards, on_a_line, on_a_ring


def grid() -> np.ndarray:
    """Centres of 5 by 3 cameras, one unit apart, about the origin."""
    x, y = np.meshgrid(np.arange(5.0), np.arange(3.0))
    return np.stack([x.ravel() - 2, y.ravel() - 1, np.zeros(15)], axis=1)


def looking_outwards() -> Cameras:
    """A ring of cameras that turn their backs to its middle."""
    ring = on_a_ring(8)
    outwards = ring.world_from_camera[:, :3, :3] @ np.diag([-1.0, 1, -1])
    return cameras_at(ring.centres, Rotation.from_matrix(outwards))


def test_a_spline_passes_every_camera_in_order() -> None:
    generator = np.random.default_rng(3)
    cameras = cameras_at(generator.normal(size=(5, 3)), Rotation.random(5, random_state=3))
    path = spline(cameras, 4 * 10 + 1)
    np.testing.assert_allclose(path.centres[::10], cameras.centres, atol=1e-9)
    np.testing.assert_allclose(
        path.world_from_camera[::10, :3, :3], cameras.world_from_camera[:, :3, :3], atol=1e-9
    )


def test_a_spline_along_a_straight_line_is_the_line() -> None:
    path = spline(on_a_line(4, turn_rad=0.2), 31)
    np.testing.assert_allclose(path.centres[:, 0], np.linspace(0, 3, 31), atol=1e-9)
    np.testing.assert_allclose(path.centres[:, 1:], 0, atol=1e-9)
    turned = np.arctan2(forwards(path)[:, 0], forwards(path)[:, 2])
    np.testing.assert_allclose(turned, np.linspace(0, 0.6, 31), atol=1e-9)


def test_an_ellipse_around_a_ring_is_the_ring() -> None:
    cameras = on_a_ring(12, radius=3.0, height=1.0)
    path = ellipse(cameras, 24)
    np.testing.assert_allclose(path.centres[:, 1], -1.0, atol=1e-9)
    radius = np.hypot(path.centres[:, 0], path.centres[:, 2])
    # The 90th percentile of |cos| over twelve cameras is a little less than their radius.
    assert radius.min() > 0.85 * 3.0
    assert radius.max() <= 3.0 + 1e-9
    to_focus = -path.centres / np.linalg.norm(path.centres, axis=1, keepdims=True)
    np.testing.assert_allclose(forwards(path), to_focus, atol=1e-9)
    assert (path.camera_from_world[:, 1, 1] > 0.9).all()  # upright: down stays down


def test_an_ellipse_is_level_where_up_is_known_though_the_photos_look_down_from_one_side() -> None:
    ring = on_a_ring(12, radius=3.0, height=2.0)
    side = ring.select([0, 1, 2, 3, 4])
    tilted = ellipse(side, 24)
    level = ellipse(side, 24, up=np.array([0.0, -1.0, 0.0]))
    assert np.ptp(tilted.centres[:, 1]) > 0.5
    np.testing.assert_allclose(level.centres[:, 1], -2.0, atol=1e-9)


def test_the_focus_of_a_ring_is_its_middle() -> None:
    np.testing.assert_allclose(focus_point(on_a_ring(7, height=0.5)), 0, atol=1e-12)


def test_parallel_cameras_have_no_focus() -> None:
    with pytest.raises(DegenerateGeometryError, match="parallel"):
        focus_point(on_a_line(3))


def test_an_ellipse_needs_cameras_with_a_common_focus() -> None:
    heights = np.array([-1.0, 0.0, 1.0])
    above_each_other = np.stack([np.zeros(3), heights, np.full(3, -2.0)], axis=1)
    tilts = np.arctan2(heights, 2.0)[:, None] * np.array([1.0, 0, 0])
    cameras = cameras_at(above_each_other, Rotation.from_rotvec(tilts))
    np.testing.assert_allclose(focus_point(cameras), 0, atol=1e-12)
    with pytest.raises(DegenerateGeometryError, match="choose a spline"):
        ellipse(cameras, 8)


def test_a_spiral_stays_within_the_cameras_and_looks_at_one_point() -> None:
    cameras = cameras_at(grid())
    path = spiral(cameras, 40, focus_depth=6.0)
    assert np.abs(path.centres[:, 0]).max() <= 2.0 + 1e-9
    assert np.abs(path.centres[:, 1]).max() <= 1.0 + 1e-9
    to_focus = np.array([0, 0, 6.0]) - path.centres
    to_focus /= np.linalg.norm(to_focus, axis=1, keepdims=True)
    np.testing.assert_allclose(forwards(path), to_focus, atol=1e-9)
    # Two circles: every quarter of the path crosses an axis.
    np.testing.assert_allclose(path.centres[[0, 20], 0], 2.0, atol=1e-9)
    np.testing.assert_allclose(path.centres[[10, 30], 0], -2.0, atol=1e-9)


def test_a_view_faces_its_direction_upright() -> None:
    found = facing(np.array([[0.0, 0, 3]]), np.array([[0.0, -1, 0.5]]))[0]
    np.testing.assert_allclose(found, np.eye(3), atol=1e-12)


def test_the_kind_of_capture_is_inferred_from_camera_geometry() -> None:
    assert capture_kind(on_a_ring(8)) == "around"
    assert capture_kind(cameras_at(grid())) == "forward"
    assert capture_kind(looking_outwards()) == "through"
    back_and_forth = about("y", 0, 180, 0, 180)
    assert capture_kind(cameras_at(on_a_line(4).centres, back_and_forth)) == "through"


def test_the_path_type_follows_the_kind_of_capture() -> None:
    ring = on_a_ring(8)
    around = along(ring, 12, focus_depth=2.0)
    np.testing.assert_array_equal(around.centres, ellipse(ring, 12).centres)
    through = along(looking_outwards(), 12, focus_depth=2.0)
    np.testing.assert_array_equal(through.centres, spline(looking_outwards(), 12).centres)
    assert through.names[0] == "frame_00000"
    assert through.sizes.tolist() == ring.sizes[:1].tolist() * 12
