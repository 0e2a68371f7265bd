"""Corrections of poses against scipy's rotations, finite differences and moves of a whole world."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tasks.splat.train.pose_corrections import corrected_pose, sizes_of, without_common_move

EXTENT = 2.5


def pose_of(rotation: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Of a camera: its orientation ``world_from_camera`` and its place."""
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = -rotation.T @ centre
    return pose


def any_pose(seed: int = 0) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    rotation = Rotation.from_rotvec(generator.normal(size=3)).as_matrix()
    return torch.from_numpy(pose_of(rotation, generator.normal(size=3)))


def test_without_a_correction_a_pose_keeps_its_bits() -> None:
    assert torch.equal(corrected_pose(any_pose(), torch.zeros(6), EXTENT), any_pose())


@pytest.mark.parametrize("size", [1e-4, 0.1, 2.0])
def test_a_camera_turns_about_its_centre_and_shifts_along_the_axes_of_the_world(
    size: float,
) -> None:
    generator = np.random.default_rng(1)
    rotation = Rotation.from_rotvec(generator.normal(size=3))
    centre, turn, shift = generator.normal(size=(3, 3)) * [[1], [size], [size]]
    expected = pose_of((Rotation.from_rotvec(turn) * rotation).as_matrix(), centre + EXTENT * shift)

    found = corrected_pose(
        torch.from_numpy(pose_of(rotation.as_matrix(), centre)),
        torch.from_numpy(np.concatenate([turn, shift])),
        EXTENT,
    )

    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.3])
def test_pose_gradients_match_finite_differences(size: float) -> None:
    start = size * torch.randn(6, generator=torch.Generator().manual_seed(2)).double()
    assert torch.autograd.gradcheck(
        lambda correction: corrected_pose(any_pose(), correction, EXTENT)[:3],
        start.requires_grad_(),
    )


def cameras(count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Orientations and centres, all over the place."""
    generator = np.random.default_rng(3)
    turns = Rotation.from_rotvec(generator.normal(size=(count, 3))).as_matrix()
    return turns, generator.normal(size=(count, 3)) * [3, 1, 0.5] + [5, 0, 0]


def arms_of(centres: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((centres - centres.mean(0)) / EXTENT).float()


def test_a_common_similarity_of_all_cameras_is_removed() -> None:
    turns, centres = cameras()
    turn, shift, growth = np.array([2e-3, -1e-3, 3e-3]), np.array([1e-3, 4e-3, -2e-3]), 5e-3
    moved = (1 + growth) * Rotation.from_rotvec(turn).apply(centres) + EXTENT * shift
    corrections = np.concatenate([np.tile(turn, (9, 1)), (moved - centres) / EXTENT], axis=1)
    for orientation, centre, place, correction in zip(
        turns, centres, moved, corrections, strict=True
    ):  # the corrections do make that move
        found = corrected_pose(
            torch.from_numpy(pose_of(orientation, centre)), torch.from_numpy(correction), EXTENT
        )
        expected = pose_of(Rotation.from_rotvec(turn).as_matrix() @ orientation, place)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)

    left = without_common_move(torch.from_numpy(corrections).float(), arms_of(centres))

    assert float(left.abs().max()) < 5e-5  # of second order in the move
    assert np.abs(corrections).max() > 2e-3


def test_remaining_corrections_have_no_common_component() -> None:
    arms = arms_of(cameras()[1])
    generator = torch.Generator().manual_seed(4)
    left = without_common_move(torch.randn(9, 6, generator=generator), arms)
    assert float(left.mean(0).abs().max()) < 1e-6
    assert float((left[:, 3:] * arms).sum()) == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(without_common_move(left, arms), left, rtol=0, atol=1e-6)


def test_cameras_in_one_place_have_no_common_scaling() -> None:
    moves = torch.tensor([[0.0, 0, 0, 1, 0, 0], [0.0, 0, 0, -1, 0, 0]])
    assert torch.equal(without_common_move(moves, torch.zeros(2, 3)), moves)


def test_correction_sizes_are_in_degrees_and_scene_extents() -> None:
    corrections = np.zeros((2, 6), dtype=np.float32)
    corrections[0] = [0, np.pi / 180, 0, 0.03, 0, -0.04]
    found = sizes_of(corrections)
    assert found.mean_rotation_deg == pytest.approx(0.5)
    assert found.largest_rotation_deg == pytest.approx(1.0)
    assert found.mean_shift == pytest.approx(0.025)
    assert found.largest_shift == pytest.approx(0.05)
