"""Epipolar errors of matches, against the nearest exact matches."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from tasks.sfm.epipolar import epipolar_errors, own_epipolar_errors

SIDEWAYS = np.eye(4)
SIDEWAYS[0, 3] = -1.0  # the second camera stands one unit to the right: epipolar lines are rows


def random_pose(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(0.2 * rng.standard_normal(3)).as_matrix()
    pose[:3, 3] = rng.standard_normal(3)
    return pose


def rays_of(points: np.ndarray) -> np.ndarray:
    return points[:, :2] / points[:, 2:]


@pytest.mark.parametrize("seed", range(5))
def test_exact_matches_have_no_epipolar_error(seed: int) -> None:
    pose = random_pose(seed)
    points = np.random.default_rng(seed).uniform([-1, -1, 4], [1, 1, 8], (50, 3))
    moved = points @ pose[:3, :3].T + pose[:3, 3]
    np.testing.assert_allclose(
        epipolar_errors(rays_of(points), rays_of(moved), pose), 0, atol=1e-15
    )


def test_the_epipolar_error_between_rows_is_split_between_both_photos() -> None:
    first = np.array([[0.3, 0.1], [0.3, 0.1]])
    second = np.array([[-0.2, 0.1], [-0.2, 0.14]])
    found = epipolar_errors(first, second, SIDEWAYS)
    np.testing.assert_allclose(found, [0.0, 0.04 / np.sqrt(2)], atol=1e-15)


def test_the_epipolar_error_is_the_distance_to_the_nearest_exact_match() -> None:
    pose = random_pose(7)
    point = np.array([0.2, -0.3, 5.0])
    moved = pose[:3, :3] @ point + pose[:3, 3]
    match = np.r_[point[:2] / point[2], moved[:2] / moved[2]] + [0.001, -0.002, 0.003, 0.001]

    def distance(x: np.ndarray) -> float:
        there = pose[:3, :3] @ x + pose[:3, 3]
        return 1e6 * float(((np.r_[x[:2] / x[2], there[:2] / there[2]] - match) ** 2).sum())

    nearest = np.sqrt(
        minimize(distance, point, method="Nelder-Mead", options={"xatol": 1e-9}).fun / 1e6
    )

    found = epipolar_errors(match[None, :2], match[None, 2:], pose)[0]
    assert found == pytest.approx(nearest, rel=0.01)


def test_cameras_in_one_place_have_no_epipolar_error() -> None:
    rng = np.random.default_rng(0)
    found = epipolar_errors(rng.random((4, 2)), rng.random((4, 2)), np.eye(4))
    np.testing.assert_array_equal(found, np.zeros(4))


@pytest.mark.parametrize("seed", range(5))
def test_exact_matches_of_any_two_cameras_fit_their_own_geometry(seed: int) -> None:
    pose = random_pose(seed)
    points = np.random.default_rng(seed).uniform([-1, -1, 4], [1, 1, 8], (50, 3))
    moved = points @ pose[:3, :3].T + pose[:3, 3]
    longer = 1.3 * rays_of(moved) + [0.1, -0.2]  # another focal length and principal point
    np.testing.assert_allclose(own_epipolar_errors(rays_of(points), longer), 0, atol=1e-7)
    assert np.median(epipolar_errors(rays_of(points), longer, pose)) > 1e-3


def test_noisy_matches_fit_their_own_geometry_as_well_as_the_poses_that_made_them() -> None:
    rng = np.random.default_rng(0)
    ratios = []
    for seed in range(20):
        pose = random_pose(seed)
        points = rng.uniform([-1, -1, 4], [1, 1, 8], (400, 3))
        moved = points @ pose[:3, :3].T + pose[:3, 3]
        first, second = (rays_of(x) + 5e-4 * rng.standard_normal((400, 2)) for x in (points, moved))
        own, known = own_epipolar_errors(first, second), epipolar_errors(first, second, pose)
        ratios.append(np.median(own) / np.median(known))
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)
