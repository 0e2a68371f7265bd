"""Pose errors, against errors put in by hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.errors import DegenerateGeometryError
from tasks.metrics.poses import pose_errors, relative_pose_auc, summarise_poses
from tests.support.handmade_scores import cameras_at

RNG = np.random.default_rng(0)
CENTRES = RNG.uniform(-1, 1, (40, 3))
TURNS = Rotation.random(40, random_state=0).as_matrix()


def test_equal_poses_have_no_error() -> None:
    errors = pose_errors(cameras_at(CENTRES, TURNS), cameras_at(CENTRES, TURNS))
    assert errors.rotation_error_deg.max() < 1e-6
    assert errors.centre_error.max() < 1e-12


def test_one_wrong_camera_has_only_its_own_errors() -> None:
    centres, turns = CENTRES.copy(), TURNS.copy()
    centres[7] += [0.0, 0.03, 0.04]
    turns[7] = turns[7] @ Rotation.from_rotvec([0.0, np.radians(2.0), 0.0]).as_matrix()

    errors = pose_errors(cameras_at(4 * CENTRES, TURNS), cameras_at(centres, turns))

    others = np.arange(40) != 7
    assert errors.rotation_error_deg[7] == pytest.approx(2.0, abs=0.1)
    assert errors.rotation_error_deg[others].max() < 0.1
    assert errors.centre_error[7] == pytest.approx(4 * 0.05, rel=0.1)
    extent = 2 * np.linalg.norm(4 * (CENTRES - CENTRES.mean(0)), axis=1).max()
    np.testing.assert_allclose(errors.centre_error_relative, errors.centre_error / extent)
    assert errors.reference_from_model.scale == pytest.approx(4.0, rel=0.01)


def test_cameras_are_matched_by_name() -> None:
    reference = cameras_at(CENTRES, TURNS)
    shuffled = reference.select([5, 3, 30, 11])

    errors = pose_errors(reference, shuffled)

    assert errors.names == ("3.jpg", "5.jpg", "11.jpg", "30.jpg")
    assert errors.centre_error.max() < 1e-12


def test_no_common_names_are_refused() -> None:
    with pytest.raises(DegenerateGeometryError, match="0 camera"):
        pose_errors(
            cameras_at(CENTRES[:2], TURNS[:2]), cameras_at(CENTRES[:2], TURNS[:2], ("a", "b"))
        )


def test_auc_needs_no_alignment_and_is_one_for_equal_poses() -> None:
    turn = Rotation.from_euler("xyz", [1, 2, 3]).as_matrix()
    moved = cameras_at(5 * CENTRES @ turn.T + [1, 2, 3], turn @ TURNS)
    assert relative_pose_auc(cameras_at(CENTRES, TURNS), moved) == pytest.approx(
        (1, 1, 1), abs=1e-6
    )


def test_auc_of_a_known_error_is_a_known_area() -> None:
    """One pair whose second camera is turned by 4 degrees: recall steps from 0 to 1 at 4."""
    turned = TURNS[:2].copy()
    turned[1] = turned[1] @ Rotation.from_rotvec([np.radians(4.0), 0, 0]).as_matrix()
    found = relative_pose_auc(cameras_at(CENTRES[:2], TURNS[:2]), cameras_at(CENTRES[:2], turned))
    assert found == pytest.approx((1 / 5, 6 / 10, 16 / 20), abs=1e-9)


def test_auc_counts_the_direction_of_the_baseline() -> None:
    level = np.tile(np.eye(3), (2, 1, 1))
    tilted = [[0, 0, 0], [np.cos(np.radians(3)), np.sin(np.radians(3)), 0]]
    found = relative_pose_auc(
        cameras_at(np.eye(3)[[2, 0]] * [[0], [1]], level), cameras_at(np.array(tilted), level)
    )
    assert found == pytest.approx((2 / 5, 7 / 10, 17 / 20), abs=1e-9)


def test_auc_counts_missing_cameras_as_wrong() -> None:
    reference = cameras_at(CENTRES[:4], TURNS[:4])  # 6 pairs, of which 3 remain with 3 cameras
    found = relative_pose_auc(reference, reference.select([0, 2, 3]))
    assert found == pytest.approx((0.5, 0.5, 0.5), abs=1e-6)


def test_the_summary_has_counts_and_means() -> None:
    reference = cameras_at(CENTRES, TURNS)
    model = reference.select(range(10))

    summary = summarise_poses(reference, model)

    assert (summary.references, summary.registered) == (40, 10)
    assert summary.scale == pytest.approx(1.0)
    assert summary.centre_rmse < 1e-12
    assert summary.auc_10 == pytest.approx(45 / 780)
