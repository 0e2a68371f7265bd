"""Models made by hand that share some of their photos."""

import numpy as np
import pycolmap
from scipy.spatial.transform import Rotation

from tasks.sfm.pieces import join_pieces
from tests.support.models_by_hand import POSES, model_of

TURN = pycolmap.Rotation3d(Rotation.from_rotvec([0.3, -1.0, 2.0]).as_quat())


def in_another_world(
    images: list[int], poses: list[pycolmap.Rigid3d] = POSES
) -> pycolmap.Reconstruction:
    model = model_of(images, poses)
    model.transform(pycolmap.Sim3d(2.5, TURN, np.array([5.0, 1.0, -7.0])))
    return model


def assert_has_the_poses(model: pycolmap.Reconstruction, images: list[int]) -> None:
    assert sorted(model.reg_image_ids()) == images
    for image in images:
        found = model.image(image).cam_from_world().matrix()
        np.testing.assert_allclose(found, POSES[image - 1].matrix(), atol=1e-9)


def test_a_piece_is_joined_by_the_photos_it_shares() -> None:
    model = model_of([1, 2, 3, 4], POSES)
    assert join_pieces(model, [in_another_world([2, 3, 4, 5, 6])]) == {5, 6}
    assert_has_the_poses(model, [1, 2, 3, 4, 5, 6])


def test_a_joined_piece_links_the_next() -> None:
    model = model_of([1, 2, 3], POSES)
    pieces = [in_another_world([1, 2, 3, 4, 5]), in_another_world([3, 4, 5, 6])]
    assert join_pieces(model, pieces) == {4, 5, 6}
    assert_has_the_poses(model, [1, 2, 3, 4, 5, 6])


def test_photos_taken_out_before_come_back_by_a_piece() -> None:
    model = model_of([1, 2, 3, 4, 5], POSES)
    model.deregister_frame(model.image(5).frame_id)
    assert join_pieces(model, [in_another_world([1, 2, 3, 5])]) == {5}
    assert_has_the_poses(model, [1, 2, 3, 4, 5])


def test_a_piece_that_shares_two_photos_or_disagrees_is_not_joined() -> None:
    model = model_of([1, 2, 3, 4], POSES)
    assert join_pieces(model, [in_another_world([3, 4, 5, 6])]) == frozenset()
    folded = [*POSES[:1], POSES[0], POSES[0], *POSES[3:]]
    assert join_pieces(model, [in_another_world([1, 2, 3, 4, 5], folded)]) == frozenset()
    assert_has_the_poses(model, [1, 2, 3, 4])
