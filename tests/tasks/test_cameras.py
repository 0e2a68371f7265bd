"""Cameras, and angles between rotations, against rotations by chosen angles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras, rotation_angles


def random_cameras(count: int = 7, seed: int = 0) -> Cameras:
    random = np.random.default_rng(seed)
    camera_from_world = np.tile(np.eye(4), (count, 1, 1))
    camera_from_world[:, :3, :3] = Rotation.random(count, rng=random).as_matrix()
    camera_from_world[:, :3, 3] = random.normal(size=(count, 3)) * 10
    intrinsics = np.tile(np.eye(3), (count, 1, 1))
    intrinsics[:, [0, 1], [0, 1]] = random.uniform(300, 900, (count, 2))
    intrinsics[:, :2, 2] = random.uniform(100, 300, (count, 2))
    return Cameras(
        names=tuple(f"{number}.jpg" for number in range(count)),
        camera_from_world=camera_from_world,
        intrinsics=intrinsics,
        sizes=random.integers(300, 900, (count, 2)),
    )


def projected(cameras: Cameras, index: int, x_camera: np.ndarray) -> np.ndarray:
    """Pixels; corner of the photo at (0, 0), so pixel (0, 0) has its centre at (0.5, 0.5)."""
    x, y, z = x_camera
    k = cameras.intrinsics[index]
    return np.array([k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]])


def test_world_from_camera_is_the_inverse_of_camera_from_world() -> None:
    cameras = random_cameras()
    np.testing.assert_allclose(
        cameras.world_from_camera, np.linalg.inv(cameras.camera_from_world), atol=1e-12
    )


def test_a_camera_maps_its_centre_to_its_origin() -> None:
    cameras = random_cameras()
    for pose, centre in zip(cameras.camera_from_world, cameras.centres, strict=True):
        np.testing.assert_allclose(pose @ [*centre, 1.0], [0, 0, 0, 1], atol=1e-12)


def test_a_camera_two_units_behind_the_origin_has_its_centre_at_minus_two() -> None:
    pose = np.eye(4)[None].copy()
    pose[0, 2, 3] = 2.0  # the world's origin lies two ahead
    cameras = random_cameras(1)
    cameras = Cameras(
        names=cameras.names,
        camera_from_world=pose,
        intrinsics=cameras.intrinsics,
        sizes=cameras.sizes,
    )
    np.testing.assert_array_equal(cameras.centres, [[0, 0, -2]])


def test_select_returns_cameras_in_the_requested_order() -> None:
    cameras = random_cameras()
    chosen = cameras.select([4, 0, 4])
    assert chosen.names == ("4.jpg", "0.jpg", "4.jpg")
    for position, index in enumerate([4, 0, 4]):
        np.testing.assert_array_equal(
            chosen.camera_from_world[position], cameras.camera_from_world[index]
        )
        np.testing.assert_array_equal(chosen.intrinsics[position], cameras.intrinsics[index])
        np.testing.assert_array_equal(chosen.sizes[position], cameras.sizes[index])


def test_an_empty_selection_gives_no_cameras() -> None:
    none = random_cameras().select([])
    assert len(none) == 0
    assert none.world_from_camera.shape == (0, 4, 4)


def test_an_index_out_of_range_is_an_error() -> None:
    with pytest.raises(IndexError):
        random_cameras(3).select([3])


@given(
    seed=st.integers(0, 1000),
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
)
def test_a_point_moves_with_the_pixels_when_photos_are_resampled(
    seed: int, width: int, height: int
) -> None:
    cameras = random_cameras(2, seed)
    resampled = cameras.resized(np.array([[width, height], [640, 480]], dtype=np.int64))
    for index, x_camera in enumerate(([0.3, -0.2, 2.0], [-1.0, 0.5, 3.0])):
        share = projected(cameras, index, np.array(x_camera)) / cameras.sizes[index]
        moved = projected(resampled, index, np.array(x_camera)) / resampled.sizes[index]
        np.testing.assert_allclose(moved, share, rtol=1e-12)


def test_resampling_changes_neither_poses_nor_the_original() -> None:
    cameras = random_cameras()
    before = cameras.intrinsics.copy()
    resampled = cameras.resized(cameras.sizes * 2)
    np.testing.assert_array_equal(cameras.intrinsics, before)
    np.testing.assert_array_equal(resampled.camera_from_world, cameras.camera_from_world)
    np.testing.assert_allclose(resampled.intrinsics[:, :2], 2 * before[:, :2])
    np.testing.assert_array_equal(resampled.intrinsics[:, 2], np.tile([0, 0, 1], (7, 1)))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 1.0, np.pi - 1e-3, np.pi - 1e-9])
def test_angles_are_exact_however_small_or_large(angle: float) -> None:
    axes = np.random.default_rng(0).normal(size=(50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    one = Rotation.random(50, random_state=0)
    other = Rotation.from_rotvec(angle * axes) * one
    found = rotation_angles(one.as_matrix(), other.as_matrix())
    np.testing.assert_allclose(found, angle, rtol=0, atol=1e-14)


def test_rotation_angles_are_computed_for_every_pair_of_two_sets() -> None:
    turns = Rotation.from_rotvec(np.outer([0.1, 0.4, 1.0], [0, 0, 1])).as_matrix()
    found = rotation_angles(turns[:, None], turns[None, 1:])
    np.testing.assert_allclose(found, [[0.3, 0.9], [0, 0.6], [0.6, 0]], atol=1e-14)
