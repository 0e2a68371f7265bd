"""Agreement of two models, on models made by hand."""

import numpy as np
import pycolmap
import pytest
from scipy.spatial.transform import Rotation

from tasks.sfm.judged import agreeing
from tests.support.models_by_hand import POSES, model_of


def moved(images: list[int]) -> pycolmap.Reconstruction:
    """The same cameras in another world."""
    model = model_of(images, POSES)
    turn = pycolmap.Rotation3d(Rotation.from_rotvec([0.3, -1.0, 2.0]).as_quat())
    model.transform(pycolmap.Sim3d(2.5, turn, np.array([5.0, 1.0, -7.0])))
    return model


def test_models_agree_in_any_world() -> None:
    images = [1, 2, 3, 4, 5, 6]
    assert agreeing(model_of(images, POSES), moved(images)) == set(images)


def test_a_camera_elsewhere_does_not_agree() -> None:
    images = [1, 2, 3, 4, 5, 6]
    elsewhere = [*POSES[:3], POSES[1], *POSES[4:]]
    assert agreeing(model_of(images, elsewhere), moved(images)) == {1, 2, 3, 5, 6}


@pytest.mark.parametrize(
    ("images", "others", "alike"),
    [
        ([], [], []),
        ([1, 2, 3], [], []),
        ([], [1, 2, 3], []),
        ([1, 2, 3], [4, 5, 6], []),
        ([1, 2, 3], [1, 2, 4], []),  # too few in common to tell
        ([1, 2], [1, 2, 3], [1, 2]),  # all there are
        ([1], [1], []),
    ],
)
def test_models_with_few_photos_in_common(
    images: list[int], others: list[int], alike: list[int]
) -> None:
    assert agreeing(model_of(images, POSES), moved(others)) == set(alike)
