"""The pairs of photos that are matched."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from tasks.sfm.pairs.choose import Capture, choose_pairs
from tasks.sfm.pairs.config import (
    Automatic,
    Exhaustive,
    PairsConfig,
    Retrieval,
    Sequential,
    Spatial,
    expected_pairs,
)


def featureless(count: int, positions_m: np.ndarray | None = None) -> Capture:
    """Photos that nobody could choose by their features."""
    return Capture(local=[np.zeros((0, 128), np.uint8)] * count, positions_m=positions_m)


def on_a_walk(places: np.ndarray, *, features: int = 10, seed: int = 0) -> list[np.ndarray]:
    """Descriptors of photos along a wall of many things, each of which looks like itself.

    A photo at place x shows the things from x to x + 6; its neighbours show most of them, too.
    """
    rng = np.random.default_rng(seed)
    things = rng.random((int(places.max()) + 8, features, 128)) ** 4
    shown = [np.concatenate(things[int(place) : int(place) + 6]) for place in places]
    return [np.uint8(255 * np.clip(one + 0.02 * rng.random(one.shape), 0, 1)) for one in shown]


def photos_in(pairs: Sequence[tuple[int, int]], photo: int) -> set[int]:
    return {i + j - photo for i, j in pairs if photo in (i, j)}


def test_few_photos_are_matched_exhaustively_whatever_their_features() -> None:
    found = choose_pairs(Automatic(exhaustive_up_to=7), featureless(7))
    assert found.kind == "exhaustive"
    assert list(found.pairs) == list(combinations(range(7), 2))


def test_neighbours_are_matched_at_doubling_distances() -> None:
    found = choose_pairs(Sequential(overlap=5, similar=0), featureless(40))

    assert [j for i, j in found.pairs if i == 0] == [1, 2, 3, 4, 5, 8, 16, 32]
    assert [j for i, j in found.pairs if i == 37] == [38, 39]
    assert list(found.pairs) == sorted(set(found.pairs))


@pytest.mark.parametrize(
    "config", [Automatic(), Automatic(exhaustive_up_to=0), Exhaustive(), Sequential(), Spatial()]
)
def test_one_photo_has_no_pairs(config: PairsConfig) -> None:
    capture = Capture(local=[np.ones((3, 128), np.uint8)])
    assert choose_pairs(config, capture).pairs == ()


def test_a_walk_that_returns_is_closed_by_similar_photos() -> None:
    # Forth along the wall and back again: the last photos show what the first ones show.
    places = np.r_[np.arange(0, 40), np.arange(39, -1, -1)]
    capture = Capture(local=on_a_walk(places))

    found = choose_pairs(Sequential(overlap=3, similar=3), capture)

    apart = [(i, j) for i, j in found.pairs if (j - i) not in (1, 2, 3, 4, 8)]
    close = [abs(places[i] - places[j]) <= 6 for i, j in apart]
    assert np.mean(close) > 0.95
    assert {79, 78, 77} & photos_in(apart, 0)


def test_auto_tells_walks_from_photos_in_no_order() -> None:
    places = np.arange(150)
    shuffled = np.random.default_rng(1).permutation(places)
    walk = choose_pairs(Automatic(), Capture(local=on_a_walk(places)))
    mixed = choose_pairs(Automatic(), Capture(local=on_a_walk(shuffled)))

    assert (walk.kind, mixed.kind) == ("sequential", "retrieval")
    found = set(mixed.pairs)
    overlapping = [
        (i, j) for i, j in combinations(range(150), 2) if abs(shuffled[i] - shuffled[j]) <= 3
    ]
    assert np.mean([pair in found for pair in overlapping]) == 1.0
    assert len(found) < 150 * 20


def test_frames_of_a_video_are_neighbours() -> None:
    capture = Capture(local=on_a_walk(np.arange(150)), video=True)
    assert choose_pairs(Automatic(), capture).kind == "sequential"


def grid_positions(rows: int, columns: int, spacing_m: float) -> np.ndarray:
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.stack([column * spacing_m, row * spacing_m, np.full(len(row), np.nan)], axis=1)


def test_photos_with_gps_are_matched_with_the_nearest() -> None:
    positions = grid_positions(12, 12, 10.0)
    found = choose_pairs(
        Spatial(neighbours=8, max_distance_m=15, similar=0), featureless(144, positions_m=positions)
    )

    inner = 5 * 12 + 5
    around = {inner + step for step in (-13, -12, -11, -1, 1, 11, 12, 13)}
    assert photos_in(found.pairs, inner) == around
    distance = [np.hypot(*(positions[i] - positions[j])[:2]) for i, j in found.pairs]
    assert max(distance) <= 15


def test_auto_trusts_positions_only_where_photos_have_their_own() -> None:
    local = on_a_walk(np.random.default_rng(2).permutation(144))
    own = grid_positions(12, 12, 10.0)
    repeated = np.repeat(own[:12], 12, axis=0)
    rare = np.where(np.arange(144)[:, None] % 3 == 0, own, np.nan)
    kinds = [
        choose_pairs(Automatic(), Capture(local=local, positions_m=positions)).kind
        for positions in (own, repeated, rare, None)
    ]
    assert kinds == ["spatial", "retrieval", "retrieval", "retrieval"]


def test_photos_without_a_position_are_matched_with_similar_ones() -> None:
    places = np.arange(60)
    positions = np.c_[places * 10.0, np.zeros(60), np.zeros(60)]
    positions[30] = np.nan
    positions[45] = [90_000.0, 0.0, 0.0]  # nobody near
    capture = Capture(local=on_a_walk(places), positions_m=positions)

    found = choose_pairs(Spatial(neighbours=4, max_distance_m=50, similar=0), capture)

    assert {28, 29, 31, 32} <= photos_in(found.pairs, 30)
    assert {43, 44, 46, 47} <= photos_in(found.pairs, 45)
    assert photos_in(found.pairs, 10) - {30, 45} == {8, 9, 11, 12}


@pytest.mark.parametrize(
    "config", [Retrieval(neighbours=4), Sequential(overlap=2, similar=3), Spatial(neighbours=4)]
)
def test_pairs_of_mapped_photos_do_not_depend_on_the_others(config: PairsConfig) -> None:
    rng = np.random.default_rng(3)
    places = rng.permutation(40)
    positions = np.c_[places * 10.0, np.zeros(40), np.zeros(40)]
    local = on_a_walk(places)
    mapped = list(range(0, 40, 2))

    def among_mapped(others: list[np.ndarray], far: np.ndarray) -> set[tuple[int, int]]:
        content = [local[i] if i % 2 == 0 else others[i] for i in range(40)]
        where = np.where(np.arange(40)[:, None] % 2 == 0, positions, far)
        capture = Capture(local=content, positions_m=where, mapped=mapped)
        found = choose_pairs(config, capture).pairs
        assert any(i % 2 or j % 2 for i, j in found)  # the others are matched, too
        return {(i, j) for i, j in found if i % 2 == j % 2 == 0}

    same = among_mapped(local, positions)
    changed = among_mapped(on_a_walk(places, seed=9), positions + 3.0)
    assert same == changed
    assert same


@pytest.mark.parametrize("count", [2, 30, 200])
@pytest.mark.parametrize(
    "config", [Automatic(), Exhaustive(), Sequential(), Spatial(), Retrieval(neighbours=8)]
)
def test_the_number_of_pairs_is_about_as_expected(config: PairsConfig, count: int) -> None:
    places = np.random.default_rng(4).permutation(count)
    positions = np.c_[places * 5.0, np.zeros(count), np.zeros(count)]
    capture = Capture(local=on_a_walk(places, features=3), positions_m=positions)
    found = len(choose_pairs(config, capture).pairs)
    assert 0.7 * found <= expected_pairs(config, count) <= 1.4 * found
