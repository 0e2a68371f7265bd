"""What pairs of photos say of poses: synthetic scenes with planted wrong cameras; graphs against
networkx."""

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.sfm.evidence import (
    MAX_EXCESS,
    PairEvidence,
    SeenMatches,
    confidence,
    confirmed,
    contradicted,
    excess,
    pair_evidence,
)

FOCAL_PX = 700.0


def ring(count: int) -> np.ndarray:
    """``camera_from_world`` [n 4 4] of cameras 6 from the origin, which they look at, 12 deg
    apart."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    for pose, angle in zip(poses, np.radians(12 * np.arange(count)), strict=True):
        turn = [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
        pose[:3, :3] = turn
        pose[2, 3] = 6.0
    return poses


POINTS = np.random.default_rng(0).uniform(-1, 1, (60, 3))
"""Around the origin."""


def seen_rays(poses: np.ndarray) -> list[np.ndarray]:
    """x / z and y / z of the points in every camera."""
    in_cameras = np.einsum("nij,pj->npi", poses[:, :3, :3], POINTS) + poses[:, None, :3, 3]
    return list(in_cameras[..., :2] / in_cameras[..., 2:])


def evidence_of(
    poses: np.ndarray, truth: np.ndarray, pairs: list[tuple[int, int]], *, points: bool = True
) -> tuple[PairEvidence, ...]:
    """Of a model with these poses, and with points from the right ones or none."""
    rays = seen_rays(truth)
    known = POINTS if points else np.full_like(POINTS, np.nan)
    seen = {
        (i, j): SeenMatches(rays=(rays[i], rays[j]), points=(known, known), distinct=ALL)
        for i, j in pairs
    }
    return pair_evidence(poses, np.full(len(poses), FOCAL_PX), seen)


ALL = np.ones(len(POINTS), bool)


def all_pairs(count: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def turned(pose: np.ndarray, degrees: float) -> np.ndarray:
    """A camera that stands where it stood and looks elsewhere, about its vertical axis."""
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[0, 0] = turn[2, 2] = np.cos(angle)
    turn[0, 2], turn[2, 0] = np.sin(angle), -np.sin(angle)
    return turn @ pose


def test_matches_of_right_poses_support_them() -> None:
    poses = ring(5)
    found = evidence_of(poses, poses, all_pairs(5))
    assert [one.verdict for one in found] == ["supports"] * 10
    assert all(one.fitting == one.matches == 60 for one in found)
    assert confirmed(5, found).all()
    assert not contradicted(5, found).any()


@pytest.mark.parametrize("degrees", [3.0, 20.0])
def test_a_turned_camera_is_contradicted_and_not_confirmed(degrees: float) -> None:
    truth = ring(5)
    poses = truth.copy()
    poses[2] = turned(poses[2], degrees)
    found = evidence_of(poses, truth, all_pairs(5))
    assert confirmed(5, found).tolist() == [True, True, False, True, True]
    assert contradicted(5, found).tolist() == [False, False, True, False, False]


def test_points_seen_from_behind_do_not_fit() -> None:
    truth = ring(3)
    poses = truth.copy()
    # Mirrored through the origin, every ray meets its partner behind both cameras.
    poses[:, :3, 3] *= -1
    found = evidence_of(poses, truth, all_pairs(3), points=False)
    assert [one.fitting for one in found] == [0, 0, 0]
    assert [one.verdict for one in found] == ["contradicts"] * 3


def test_matches_without_parallax_support_nothing() -> None:
    poses = np.stack([turned(ring(1)[0], degrees) for degrees in (0.0, 5.0, 10.0)])
    found = evidence_of(poses, poses, all_pairs(3))
    assert all(one.wide == 0 and one.verdict == "undecided" for one in found)
    assert not confirmed(3, found).any()


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.5])
def test_photos_from_one_spot_support_no_model(factor: float) -> None:
    # The model has parallax at a wrong focal length; the photos have none.
    spot = np.stack([turned(ring(1)[0], degrees) for degrees in (0.0, 4.0, 8.0, 12.0)])
    rays = [factor * one for one in seen_rays(spot)]
    poses = ring(4)
    nothing = np.full_like(POINTS, np.nan)
    found = pair_evidence(
        poses,
        np.full(4, FOCAL_PX / factor),
        {
            (i, j): SeenMatches(rays=(rays[i], rays[j]), points=(nothing,) * 2, distinct=ALL)
            for i, j in all_pairs(4)
        },
    )
    assert all(one.turned and one.wide == 0 for one in found)
    assert not confirmed(4, found).any()


@pytest.mark.parametrize(
    ("lost", "verdict"), [(10, "supports"), (20, "undecided"), (50, "contradicts")]
)
def test_pixels_that_a_wrong_lens_takes_from_nowhere_do_not_fit(lost: int, verdict: str) -> None:
    poses = ring(3)
    rays = seen_rays(poses)
    rays[1][:lost] = np.nan
    seen = SeenMatches(rays=(rays[0], rays[1]), points=(POINTS, POINTS), distinct=ALL)
    (found,) = pair_evidence(poses, np.full(3, FOCAL_PX), {(0, 1): seen})
    assert found.matches == 60
    assert found.fitting <= 60 - lost
    assert found.verdict == verdict


def test_a_photo_that_one_pair_holds_is_not_confirmed() -> None:
    poses = ring(5)
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4)]
    found = evidence_of(poses, poses, pairs)
    assert confirmed(5, found).tolist() == [True, True, True, False, False]


def test_matches_that_look_like_other_places_support_nothing() -> None:
    poses = ring(3)
    rays = seen_rays(poses)
    found = pair_evidence(
        poses,
        np.full(3, FOCAL_PX),
        {
            (i, j): SeenMatches(rays=(rays[i], rays[j]), points=(POINTS,) * 2, distinct=~ALL)
            for i, j in all_pairs(3)
        },
    )
    assert [one.verdict for one in found] == ["undecided"] * 3


def test_a_model_that_many_pairs_do_not_fit_confirms_nothing() -> None:
    # Six photos whose pairs all support the model, but for some that half fit it.
    half = {"matches": 100, "fitting": 50, "wide": 50, "distinct": 50}
    for count, confirms in ((2, True), (3, False)):
        pairs = [
            PairEvidence(first=i, second=j, **half) if index < count else pair(i, j)
            for index, (i, j) in enumerate(all_pairs(6))
        ]
        assert confirmed(6, pairs).any() == confirms


def pair(first: int, second: int, excess: float = 1.0) -> PairEvidence:
    return PairEvidence(
        first=first, second=second, matches=50, fitting=50, wide=50, distinct=50, excess=excess
    )


def test_a_wrong_focal_length_shows_beside_each_pair_by_itself() -> None:
    poses, rng = ring(4), np.random.default_rng(0)
    rays = [one + 0.1 / FOCAL_PX * rng.standard_normal(one.shape) for one in seen_rays(poses)]

    def found(factor: float) -> tuple[PairEvidence, ...]:
        return pair_evidence(
            poses,
            np.full(4, factor * FOCAL_PX),
            {
                (i, j): SeenMatches(
                    rays=(rays[i] / factor, rays[j] / factor),
                    points=(np.full_like(POINTS, np.nan),) * 2,
                    distinct=ALL,
                )
                for i, j in all_pairs(4)
            },
        )

    assert excess(found(1.0)) < 1.2
    assert excess(found(0.85)) > MAX_EXCESS
    assert all(one.verdict == "supports" for one in found(0.85))
    assert confirmed(4, found(1.0)).all()
    assert not confirmed(4, found(0.85)).any()


def test_most_pairs_tell_of_a_wrong_focal_length() -> None:
    pairs = [pair(i, j, excess=3.0 if i == 0 else 1.0) for i, j in all_pairs(5)]
    assert excess(pairs) == 1.0
    assert confirmed(5, pairs).all()
    assert excess([]) == 1.0


@given(st.integers(1, 12), st.data())
def test_confirmed_photos_are_a_largest_component_without_bridges(
    count: int, data: st.DataObject
) -> None:
    edges = data.draw(st.sets(st.sampled_from(all_pairs(count)))) if count > 1 else set()
    graph = networkx.Graph(sorted(edges))
    graph.add_nodes_from(range(count))
    expected = list(networkx.k_edge_components(graph, 2))

    found = frozenset(np.flatnonzero(confirmed(count, [pair(*edge) for edge in sorted(edges)])))

    largest = max(len(one) for one in expected)
    if largest < 3:
        assert not found
    else:
        assert len(found) == largest
        assert set(found) in [set(one) for one in expected]


def test_long_chains_need_no_recursion() -> None:
    count = 5000
    chain = [pair(i, i + 1) for i in range(count - 1)]
    assert not confirmed(count, chain).any()
    assert confirmed(count, [*chain, pair(0, count - 1)]).all()


def test_confidence_falls_with_each_doubt() -> None:
    both = confidence(confirmed=True, witnessed=True, contradicted=False)
    one = confidence(confirmed=True, witnessed=False, contradicted=False)
    none = confidence(confirmed=False, witnessed=False, contradicted=False)
    against = confidence(confirmed=True, witnessed=True, contradicted=True)
    assert 1 >= both > one > none > against >= 0
