"""The pairs of photos that are matched."""

from itertools import combinations

from tasks.sfm.config import SfmConfig
from tasks.sfm.pairs import pairs_to_match


def test_few_photos_are_matched_exhaustively() -> None:
    found = pairs_to_match(7, SfmConfig(exhaustive_up_to=7))
    assert found == list(combinations(range(7), 2))


def test_many_photos_are_matched_to_neighbours_at_doubling_distances() -> None:
    found = pairs_to_match(40, SfmConfig(exhaustive_up_to=39, overlap=5))

    assert [j for i, j in found if i == 0] == [1, 2, 3, 4, 5, 8, 16, 32]
    assert [j for i, j in found if i == 37] == [38, 39]
    assert found == sorted(set(found))


def test_one_photo_has_no_pairs() -> None:
    assert pairs_to_match(1, SfmConfig()) == []
    assert pairs_to_match(1, SfmConfig(exhaustive_up_to=0)) == []
