"""Angles between rotations, against rotations by chosen angles."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.rotations import rotation_angles


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 1.0, np.pi - 1e-3, np.pi - 1e-9])
def test_angles_are_exact_however_small_or_large(angle: float) -> None:
    axes = np.random.default_rng(0).normal(size=(50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    one = Rotation.random(50, random_state=0)
    other = Rotation.from_rotvec(angle * axes) * one
    found = rotation_angles(one.as_matrix(), other.as_matrix())
    np.testing.assert_allclose(found, angle, rtol=0, atol=1e-14)


def test_each_of_one_set_is_compared_with_each_of_another() -> None:
    turns = Rotation.from_rotvec(np.outer([0.1, 0.4, 1.0], [0, 0, 1])).as_matrix()
    found = rotation_angles(turns[:, None], turns[None, 1:])
    np.testing.assert_allclose(found, [[0.3, 0.9], [0, 0.6], [0.6, 0]], atol=1e-14)
