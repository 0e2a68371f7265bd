"""The similarity between two worlds, against similarities chosen beforehand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.errors import DegenerateGeometryError
from tasks.metrics.similarity import align_cameras
from tests.support.handmade_scores import cameras_at

CORNERS = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 5.0]])
LINE = np.linspace(-1, 2, 9)[:, None] * [[1.0, 2.0, 3.0]]
TURN = Rotation.from_euler("xyz", [0.3, -1.2, 2.5]).as_matrix()


def random_turns(count: int, seed: int = 0) -> np.ndarray:
    return Rotation.random(count, random_state=seed).as_matrix().reshape(-1, 3, 3)


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(a.T @ b).magnitude()))


@pytest.mark.parametrize("centres", [CORNERS, LINE, LINE[:2]], ids=["space", "line", "two"])
def test_a_chosen_similarity_is_recovered(centres: np.ndarray) -> None:
    turns = random_turns(len(centres))
    translation = np.array([100.0, -4.0, 7.0])
    reference = cameras_at(2.5 * centres @ TURN.T + translation, TURN @ turns)

    found = align_cameras(reference, cameras_at(centres, turns))

    assert found.scale == pytest.approx(2.5, rel=1e-12)
    np.testing.assert_allclose(found.rotation, TURN, atol=1e-12)
    np.testing.assert_allclose(found.translation, translation, atol=1e-10)


def test_points_and_cameras_are_transformed_consistently() -> None:
    turns = random_turns(4)
    reference = cameras_at(2.5 * CORNERS @ TURN.T + [1.0, -4.0, 7.0], TURN @ turns)
    model = cameras_at(CORNERS, turns)
    found = align_cameras(reference, model)

    np.testing.assert_allclose(found.apply(CORNERS), reference.centres, atol=1e-12)
    np.testing.assert_allclose(
        found.apply_to_cameras(model).camera_from_world, reference.camera_from_world, atol=1e-12
    )


def test_the_roll_about_a_straight_path_comes_from_the_rotations() -> None:
    rng = np.random.default_rng(1)
    turns = random_turns(9)
    shaken = Rotation.from_rotvec(np.radians(0.3) * rng.standard_normal((9, 3))).as_matrix()
    wobble = 0.003 * rng.standard_normal((9, 3))  # of a path of length 11: centres say nothing
    reference = cameras_at(LINE @ TURN.T, TURN @ turns)

    found = align_cameras(reference, cameras_at(LINE + wobble, turns @ shaken))

    assert angle_deg(found.rotation, TURN) < 0.5


def test_exact_centres_survive_an_error_shared_by_all_rotations() -> None:
    """A principal point off by some pixels turns every camera by the same in its own frame."""
    rng = np.random.default_rng(2)
    centres = rng.uniform(-1, 1, (11, 3))
    facing_one_way = Rotation.from_rotvec(0.2 * rng.standard_normal((11, 3))).as_matrix()
    bias = Rotation.from_euler("y", 0.5, degrees=True).as_matrix()
    reference = cameras_at(centres @ TURN.T, TURN @ facing_one_way)

    found = align_cameras(reference, cameras_at(centres, facing_one_way @ bias))

    assert angle_deg(found.rotation, TURN) < 0.02


def test_a_mirrored_model_is_not_mirrored_back() -> None:
    turns = random_turns(4)
    found = align_cameras(cameras_at(CORNERS * [1.0, 1.0, -1.0], turns), cameras_at(CORNERS, turns))
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    assert found.scale == pytest.approx(1.0)


@pytest.mark.parametrize("count", [2, 4, 12])
@pytest.mark.parametrize("noise", [1e-4, 1e-2])
def test_noise_moves_the_estimate_by_a_similar_amount(count: int, noise: float) -> None:
    """Noise of one size in radians and in shares of the radius; few chances put it on a line."""
    turned, stretched = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        centres, turns = rng.standard_normal((count, 3)), random_turns(count, seed)
        shaken = Rotation.from_rotvec(noise * rng.standard_normal((count, 3))).as_matrix()
        radius = np.sqrt(((centres - centres.mean(0)) ** 2).sum(1).mean())
        wobble = noise * radius * rng.standard_normal((count, 3))
        reference = cameras_at(3.0 * centres @ TURN.T, TURN @ turns)

        found = align_cameras(reference, cameras_at(centres + wobble, turns @ shaken))

        turned.append(np.radians(angle_deg(found.rotation, TURN)))
        stretched.append(abs(found.scale / 3.0 - 1.0))
    assert np.percentile(turned, 90) < 3 * noise
    assert np.percentile(stretched, 90) < 3 * noise


@pytest.mark.parametrize("which", ["reference", "model"])
def test_coinciding_centres_are_refused(which: str) -> None:
    turns = random_turns(4)
    spread, point = cameras_at(CORNERS, turns), cameras_at(np.full((4, 3), 7.0), turns)
    pair = (point, spread) if which == "reference" else (spread, point)
    with pytest.raises(DegenerateGeometryError, match=f"4 camera centres of the {which}"):
        align_cameras(*pair)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_cameras_are_refused(count: int) -> None:
    cameras = cameras_at(CORNERS[:count], random_turns(4)[:count])
    with pytest.raises(DegenerateGeometryError, match="2 are needed"):
        align_cameras(cameras, cameras)
