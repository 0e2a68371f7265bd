"""Pose errors, against errors put in by hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.errors import DegenerateGeometryError
from tasks.metrics.poses import pose_errors, relative_pose_auc, summarise_poses
from tests.support.handmade_scores import cameras_at
from tests.support.stray_cameras import planted

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


def test_two_strays_of_16_leave_14_right_to_the_planted_noise() -> None:
    scene = planted(CENTRES[:16], TURNS[:16], 2, noise_deg=0.2, noise=0.001)
    errors = pose_errors(scene.reference, scene.model)

    np.testing.assert_array_equal(errors.right, scene.honest)
    assert errors.wrong == tuple(f"{index}.jpg" for index in scene.strays)
    # Three axes of 0.2 degrees and of 0.1 % of the extent; 4 deviations at most.
    assert errors.rotation_error_deg[errors.right].max() < 4 * 0.2 * np.sqrt(3)
    assert errors.centre_error_relative[errors.right].max() < 4 * 0.001 * np.sqrt(3)
    assert errors.remark == f"wrong poses: {', '.join(errors.wrong)}"
    summary = summarise_poses(scene.reference, scene.model)
    assert (summary.right, summary.wrong, summary.missing) == (14, 2, 0)
    assert summary.rotation_median_deg is not None
    assert summary.rotation_median_deg < 0.5
    assert summary.centre_median_relative is not None
    assert summary.centre_median_relative < 0.003


def test_right_wrong_and_missing_add_up_to_the_references() -> None:
    scene = planted(CENTRES[:16], TURNS[:16], 3)
    kept = [index for index in range(16) if index not in (0, 5)]
    summary = summarise_poses(scene.reference, scene.model.select(kept))
    strays = len(set(scene.strays) - {0, 5})
    assert summary.references == 16
    assert (summary.right, summary.wrong, summary.missing) == (14 - strays, strays, 2)
    assert pose_errors(scene.reference, scene.model.select(kept)).missing == ("0.jpg", "5.jpg")


def test_the_tolerance_is_a_share_of_all_references_also_of_those_that_are_missing() -> None:
    """4 % of the whole extent is 40 % of that of the 4 cameras that stand together."""
    centres = np.concatenate([0.1 * CENTRES[:5], 10 * np.eye(3)])
    reference = cameras_at(centres, TURNS[:8])
    moved = centres[:5].copy()
    moved[3] += [0.0, 0.0, 0.04 * pose_extent(centres)]
    errors = pose_errors(reference, cameras_at(moved, TURNS[:5]))
    assert errors.right.all()
    assert errors.centre_error_relative[3] < 0.05


def pose_extent(centres: np.ndarray) -> float:
    return 2 * float(np.linalg.norm(centres - centres.mean(0), axis=1).max())


def test_a_tie_of_two_alignments_is_said() -> None:
    turn = Rotation.from_euler("xyz", [1, 2, 3]).as_matrix()
    centres, turns = CENTRES[:8].copy(), TURNS[:8].copy()
    centres[4:], turns[4:] = centres[4:] @ turn.T + 3, turn @ turns[4:]
    summary = summarise_poses(cameras_at(CENTRES[:8], TURNS[:8]), cameras_at(centres, turns))
    assert (summary.right, summary.wrong, summary.rival) == (4, 4, 4)
    assert summary.remark is not None
    assert "a tie: 4 poses agree on it and 4 on another" in summary.remark


def test_two_that_agree_among_16_are_no_evidence_and_no_median_is_given() -> None:
    scene = planted(CENTRES[:16], TURNS[:16], 14)
    errors = pose_errors(scene.reference, scene.model)
    assert not errors.right.any()
    assert len(errors.wrong) == 16
    assert np.isnan(errors.rotation_error_deg).all()
    summary = summarise_poses(scene.reference, scene.model)
    assert (summary.right, summary.wrong) == (0, 16)
    assert (summary.rotation_median_deg, summary.centre_median, summary.scale) == (None,) * 3
    assert summary.remark is not None
    assert "no 4 of the 16" in summary.remark


@pytest.mark.parametrize("common", [0, 1])
def test_fewer_than_two_cameras_in_common_are_neither_right_nor_wrong(common: int) -> None:
    reference = cameras_at(CENTRES[:4], TURNS[:4])
    names = ("0.jpg", "x.jpg") if common else ("x.jpg", "y.jpg")
    summary = summarise_poses(reference, cameras_at(CENTRES[:2], TURNS[:2], names))
    assert (summary.right, summary.wrong, summary.missing) == (0, 0, 4 - common)
    assert summary.remark is not None
    assert f"{common} with a reference, and 2 are needed" in summary.remark


def test_references_from_one_place_leave_poses_neither_right_nor_wrong() -> None:
    reference = cameras_at(np.full((4, 3), 7.0), TURNS[:4])
    summary = summarise_poses(reference, cameras_at(CENTRES[:4], TURNS[:4]))
    assert (summary.right, summary.wrong, summary.missing) == (0, 0, 0)
    assert summary.remark is not None
    assert "one and the same centre" in summary.remark


def test_a_model_whose_cameras_stand_on_one_point_is_wrong() -> None:
    reference = cameras_at(CENTRES[:6], TURNS[:6])
    summary = summarise_poses(reference, cameras_at(np.full((6, 3), 7.0), TURNS[:6]))
    assert (summary.right, summary.wrong, summary.missing) == (0, 6, 0)


def test_a_single_reference_has_no_area() -> None:
    reference = cameras_at(CENTRES[:1], TURNS[:1])
    summary = summarise_poses(reference, reference)
    assert (summary.auc_1, summary.auc_20) == (None, None)
    assert (summary.right, summary.wrong, summary.missing) == (0, 0, 0)


def test_poses_that_are_called_sure_and_wrong_are_counted() -> None:
    scene = planted(CENTRES[:16], TURNS[:16], 3)
    names = scene.reference.names
    sure = dict.fromkeys(names, True)
    sure[names[scene.strays[0]]] = False
    model = scene.model
    summary = summarise_poses(scene.reference, model, sure=sure)
    assert (summary.sure, summary.sure_wrong) == (15, 2)
    assert summarise_poses(scene.reference, model).sure is None


def test_a_remark_names_ten_wrong_poses_at_most() -> None:
    scene = planted(CENTRES, TURNS, 13)
    remark = pose_errors(scene.reference, scene.model).remark
    assert remark is not None
    assert remark.count(".jpg") == 10
    assert remark.endswith("and 3 more")


def test_areas_of_no_reference_are_refused() -> None:
    one = cameras_at(CENTRES[:1], TURNS[:1])
    with pytest.raises(DegenerateGeometryError, match="has 1 cameras"):
        relative_pose_auc(one, one)


def test_auc_needs_no_alignment_and_is_one_for_equal_poses() -> None:
    turn = Rotation.from_euler("xyz", [1, 2, 3]).as_matrix()
    moved = cameras_at(5 * CENTRES @ turn.T + [1, 2, 3], turn @ TURNS)
    assert relative_pose_auc(cameras_at(CENTRES, TURNS), moved) == pytest.approx((1,) * 5, abs=1e-6)


def test_auc_of_a_known_error_is_a_known_area() -> None:
    """One pair whose second camera is turned by 4 degrees: recall steps from 0 to 1 at 4."""
    turned = TURNS[:2].copy()
    turned[1] = turned[1] @ Rotation.from_rotvec([np.radians(4.0), 0, 0]).as_matrix()
    found = relative_pose_auc(cameras_at(CENTRES[:2], TURNS[:2]), cameras_at(CENTRES[:2], turned))
    assert found == pytest.approx((0, 0, 1 / 5, 6 / 10, 16 / 20), abs=1e-9)


def test_auc_counts_the_direction_of_the_baseline() -> None:
    level = np.tile(np.eye(3), (2, 1, 1))
    tilted = [[0, 0, 0], [np.cos(np.radians(3)), np.sin(np.radians(3)), 0]]
    found = relative_pose_auc(
        cameras_at(np.eye(3)[[2, 0]] * [[0], [1]], level), cameras_at(np.array(tilted), level)
    )
    assert found == pytest.approx((0, 0, 2 / 5, 7 / 10, 17 / 20), abs=1e-9)


def test_auc_counts_missing_cameras_as_wrong() -> None:
    reference = cameras_at(CENTRES[:4], TURNS[:4])  # 6 pairs, of which 3 remain with 3 cameras
    found = relative_pose_auc(reference, reference.select([0, 2, 3]))
    assert found == pytest.approx((0.5,) * 5, abs=1e-6)


def test_the_summary_has_counts_and_means() -> None:
    reference = cameras_at(CENTRES, TURNS)
    model = reference.select(range(10))

    summary = summarise_poses(reference, model)

    assert (summary.references, summary.right, summary.missing) == (40, 10, 30)
    assert (summary.wrong, summary.rival, summary.remark) == (0, 0, None)
    assert summary.scale == pytest.approx(1.0)
    assert summary.centre_median is not None
    assert summary.centre_median < 1e-12
    assert summary.auc_10 == pytest.approx(45 / 780)
