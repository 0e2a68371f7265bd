"""The alignment that most cameras agree on, against similarities and strays that were planted."""

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from tasks.cameras import Cameras
from tasks.metrics.consensus import Consensus, align_agreeing
from tests.support.handmade_scores import cameras_at
from tests.support.stray_cameras import SCALE, TURN, Planted, planted, shaken, turns_of

RNG = np.random.default_rng(0)
SPACE = RNG.uniform(-1, 1, (16, 3))
ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False)
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES), np.zeros(16)], axis=1)
PATH = np.linspace(-1, 2, 16)[:, None] * [[1.0, 2.0, 3.0]]
FACING_ONE_WAY = shaken(np.tile(np.eye(3), (16, 1, 1)), 8.0, RNG)


def extent_of(cameras: Cameras) -> float:
    return 2 * float(np.linalg.norm(cameras.centres - cameras.centres.mean(0), axis=1).max())


def aligned(reference: Cameras, model: Cameras) -> Consensus | None:
    return align_agreeing(reference, model, extent=extent_of(reference))


def turned_inwards(centres: np.ndarray, target: np.ndarray) -> np.ndarray:
    """World-from-camera rotations that look at ``target``, upright in z."""
    forward = target - centres
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(forward, right), forward], axis=2)


def check_planted(scene: Planted, *, turn_deg: float = 0.5, scale: float = 0.01) -> None:
    found = aligned(scene.reference, scene.model)
    assert found is not None
    np.testing.assert_array_equal(found.right, scene.honest)
    error = Rotation.from_matrix(found.reference_from_model.rotation.T @ TURN).magnitude()
    assert np.degrees(error) < turn_deg
    assert found.reference_from_model.scale == pytest.approx(SCALE, rel=scale)


@pytest.mark.parametrize("strays", [0, 2, 5, 7])
@pytest.mark.parametrize(
    ("centres", "turns"),
    [
        (SPACE, turns_of(16)),
        (RING, turned_inwards(RING, np.array([0.0, 0.0, -0.3]))),
        (PATH, turns_of(16)),
        (PATH, FACING_ONE_WAY),
    ],
    ids=["space", "ring", "path", "path facing one way"],
)
def test_strays_up_to_45_percent_do_not_move_the_alignment(
    centres: np.ndarray, turns: np.ndarray, strays: int
) -> None:
    for seed in range(3):
        check_planted(planted(centres, turns, strays, seed=seed))


def test_a_path_that_is_almost_straight_keeps_its_roll() -> None:
    bent = PATH + 0.01 * RNG.standard_normal(PATH.shape)
    check_planted(planted(bent, FACING_ONE_WAY, 5, noise=0.002))


@pytest.mark.parametrize("strays", [0, 2, 5])
@pytest.mark.parametrize("turns", [turns_of(16), FACING_ONE_WAY], ids=["around", "one way"])
def test_a_turn_that_all_cameras_share_leaves_them_right(turns: np.ndarray, strays: int) -> None:
    """A principal point off by some pixels turns every camera by the same in its own frame."""
    offset = Rotation.from_euler("yx", [0.7, 0.2], degrees=True).as_matrix()
    for centres in (SPACE, RING, PATH):
        check_planted(planted(centres, turns, strays, offset=offset), turn_deg=1.0, scale=0.02)


def two_groups(sizes: tuple[int, int], *, noise: float) -> tuple[Cameras, Cameras, np.ndarray]:
    """Two pieces that are right by themselves, joined wrongly; members of the second."""
    count = sum(sizes)
    rng = np.random.default_rng(3)
    centres, turns = rng.uniform(-1, 1, (count, 3)), turns_of(count)
    second = np.isin(np.arange(count), rng.permutation(count)[: sizes[1]])
    wrongly = Rotation.from_euler("xyz", [70, 20, -40], degrees=True).as_matrix()
    found = centres + noise * rng.standard_normal((count, 3))
    looking = shaken(turns, np.degrees(noise) / 10, rng)
    found[second] = found[second] @ wrongly.T + [3.0, 0.0, 1.0]
    looking[second] = wrongly @ looking[second]
    return cameras_at(centres, turns), cameras_at(found, looking), second


@pytest.mark.parametrize(("sizes", "larger"), [((9, 7), False), ((7, 9), True)])
def test_the_larger_of_two_groups_wins_and_the_other_is_counted(
    sizes: tuple[int, int], larger: bool
) -> None:
    reference, model, second = two_groups(sizes, noise=0.01)
    found = aligned(reference, model)
    assert found is not None
    np.testing.assert_array_equal(found.right, second == larger)
    assert found.rival == 7


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_tie_is_the_same_each_time_and_in_any_world(noise: float) -> None:
    reference, model, second = two_groups((8, 8), noise=noise)
    found = aligned(reference, model)
    assert found is not None
    assert found.right.sum() == found.rival == 8
    if noise == 0:  # equal residuals: the group of the first camera
        np.testing.assert_array_equal(found.right, second == second[0])
    moved = cameras_at(0.3 * model.centres @ TURN.T + 5, TURN @ model.world_from_camera[:, :3, :3])
    for one in (model, model, moved):
        again = aligned(reference, one)
        assert again is not None
        np.testing.assert_array_equal(again.right, found.right)


def test_of_equal_groups_the_one_with_smaller_errors_wins() -> None:
    reference, model, second = two_groups((8, 8), noise=0.0)
    rng = np.random.default_rng(1)
    for noisy in (second, ~second):
        centres = model.centres + 0.02 * noisy[:, None] * rng.standard_normal((16, 3))
        found = aligned(reference, cameras_at(centres, model.world_from_camera[:, :3, :3]))
        assert found is not None
        np.testing.assert_array_equal(found.right, ~noisy)


@pytest.mark.parametrize("flipped", [0, 1, 2], ids=["left-right", "upside down", "front-back"])
@pytest.mark.parametrize("seed", range(3))
def test_a_mirrored_model_is_not_right(seed: int, flipped: int) -> None:
    """Centres reflected, and rotations too, made proper by a reflection in the camera's frame."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((24, 3))
    dome = 3 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    dome[:, 2] = np.abs(dome[:, 2])
    turns = turned_inwards(dome, np.zeros(3))
    mirror, flip = np.diag([1.0, 1.0, -1.0]), np.eye(3)
    flip[flipped, flipped] = -1
    model = cameras_at(dome @ mirror, mirror @ turns @ flip)
    assert np.linalg.det(model.camera_from_world[:, :3, :3]) == pytest.approx(1.0)

    assert aligned(cameras_at(dome, turns), model) is None


def test_a_mirrored_ring_with_the_right_rotations_is_not_right() -> None:
    """Centres of the reflection beside rotations of the truth."""
    turns = turned_inwards(RING, np.array([0.0, 0.0, -0.3]))
    model = cameras_at(RING * [1.0, -1.0, 1.0], turns)
    assert aligned(cameras_at(RING, turns), model) is None


def test_two_cameras_check_each_other() -> None:
    turns = turns_of(2)
    reference = cameras_at(SPACE[:2], turns)
    for degrees, agree in ((4.0, True), (8.0, False)):
        other = turns.copy()
        other[1] = other[1] @ Rotation.from_euler("x", degrees, degrees=True).as_matrix()
        found = aligned(reference, cameras_at(SPACE[:2], other))
        assert (found is not None and found.right.all()) == agree


def test_two_of_three_are_a_majority_and_two_of_four_are_no_evidence() -> None:
    scene = planted(SPACE[:3], turns_of(3), 1, seed=4)
    found = aligned(scene.reference, scene.model)
    assert found is not None
    np.testing.assert_array_equal(found.right, scene.honest)
    scene = planted(SPACE[:4], turns_of(4), 2, seed=4)
    assert aligned(scene.reference, scene.model) is None


def test_a_quarter_is_found_and_a_tenth_is_no_evidence() -> None:
    centres = np.random.default_rng(6).uniform(-1, 1, (40, 3))
    check_planted(planted(centres, turns_of(40), 30), scale=0.02)
    scene = planted(centres, turns_of(40), 36)
    assert aligned(scene.reference, scene.model) is None


def test_a_model_without_any_truth_has_nothing_right() -> None:
    reference = cameras_at(SPACE, turns_of(16))
    assert aligned(reference, cameras_at(RNG.uniform(-1, 1, (16, 3)), turns_of(16, 9))) is None


def test_a_model_collapsed_to_a_point_has_nothing_right() -> None:
    turns = turns_of(16)
    reference = cameras_at(SPACE, turns)
    assert aligned(reference, cameras_at(np.full((16, 3), 7.0), turns)) is None
    nearly = 7 + 1e-13 * RNG.standard_normal((16, 3))
    assert aligned(reference, cameras_at(nearly, turns)) is None


def test_photos_from_one_place_do_not_disturb_the_others() -> None:
    """Pairs of one centre have no scale."""
    centres = SPACE.copy()
    centres[:5] = centres[0]
    check_planted(planted(centres, turns_of(16), 4, seed=2))


def test_the_order_of_cameras_does_not_matter() -> None:
    scene = planted(SPACE, turns_of(16), 6)
    order = np.random.default_rng(8).permutation(16).tolist()
    found = aligned(scene.reference.select(order), scene.model.select(order))
    assert found is not None
    np.testing.assert_array_equal(found.right, scene.honest[order])


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    angles=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    log_scale=st.floats(-6, 6),
    shift=st.lists(st.floats(-50, 50), min_size=3, max_size=3),
    of_reference=st.booleans(),
)
def test_verdicts_do_not_depend_on_the_worlds(
    seed: int, angles: list[float], log_scale: float, shift: list[float], of_reference: bool
) -> None:
    scene = planted(SPACE, turns_of(16), seed % 7, seed=seed)
    turn, scale = Rotation.from_euler("xyz", angles).as_matrix(), float(np.exp(log_scale))
    reference, model = scene.reference, scene.model
    one = reference if of_reference else model
    centres = scale * (one.centres @ turn.T + shift)
    moved = cameras_at(centres, turn @ one.world_from_camera[:, :3, :3])
    found = aligned(*((moved, model) if of_reference else (reference, moved)))
    assert found is not None
    np.testing.assert_array_equal(found.right, scene.honest)
    ratio = scale if of_reference else 1 / scale
    assert found.reference_from_model.scale == pytest.approx(SCALE * ratio, rel=0.02)


def largest_set(reference: Cameras, model: Cameras) -> set[tuple[int, ...]]:
    """Every largest subset that a similarity fits within the tolerances, by trying all subsets.

    An independent solver fits each: nonlinear least squares over all seven numbers.
    """
    extent = extent_of(reference)
    known = reference.world_from_camera[:, :3, :3]
    turns = known @ model.world_from_camera[:, :3, :3].transpose(0, 2, 1)

    def errors(x: np.ndarray, members: list[int]) -> tuple[np.ndarray, np.ndarray]:
        rotation = Rotation.from_rotvec(x[:3])
        moved = np.exp(x[3]) * rotation.apply(model.centres[members]) + x[4:]
        turned = (Rotation.from_matrix(turns[members]) * rotation.inv()).as_rotvec()
        return np.degrees(turned) / 5, (moved - reference.centres[members]) / (0.05 * extent)

    def flat(x: np.ndarray, members: list[int]) -> np.ndarray:
        return np.concatenate([part.ravel() for part in errors(x, members)])

    for size in range(len(reference), 1, -1):
        sets = set()
        for members in map(list, combinations(range(len(reference)), size)):
            start = np.zeros(7)
            start[:3] = Rotation.from_matrix(turns[members]).mean().as_rotvec()
            spreads = [np.std(one.centres[members], axis=0).sum() for one in (reference, model)]
            start[3] = np.log(spreads[0] / spreads[1])
            middle = np.exp(start[3]) * Rotation.from_rotvec(start[:3]).apply(
                model.centres[members]
            )
            start[4:] = (reference.centres[members] - middle).mean(0)
            fit = least_squares(flat, start, args=(members,)).x
            if all((np.linalg.norm(part, axis=1) <= 1).all() for part in errors(fit, members)):
                sets.add(tuple(members))
        if sets:
            return sets
    return set()


@pytest.mark.parametrize(("seed", "strays"), [(0, 1), (1, 2), (2, 3), (3, 0)])
def test_no_subset_that_is_larger_can_be_fitted(seed: int, strays: int) -> None:
    rng = np.random.default_rng(seed)
    scene = planted(rng.uniform(-1, 1, (7, 3)), turns_of(7, seed), strays, seed=seed, noise_deg=0.6)
    found = aligned(scene.reference, scene.model)
    assert found is not None
    best = largest_set(scene.reference, scene.model)
    assert tuple(np.flatnonzero(found.right).tolist()) in best


def test_500_cameras_take_a_second() -> None:
    """Of the processor, with room for a slow one."""
    centres = np.random.default_rng(5).uniform(-1, 1, (500, 3))
    scene = planted(centres, turns_of(500), 225)
    started = time.process_time()
    found = aligned(scene.reference, scene.model)
    assert time.process_time() - started < 5
    assert found is not None
    np.testing.assert_array_equal(found.right, scene.honest)
