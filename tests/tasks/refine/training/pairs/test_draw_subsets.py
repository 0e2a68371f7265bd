"""Selection of photo subsets for training pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InputError
from tasks.refine.training.pairs.config import PairsConfig
from tasks.refine.training.pairs.draw import draw_subsets, seed_of


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(count=st.integers(4, 60), runs=st.floats(0, 1), seed=st.integers(0, 1000))
def test_subsets_are_distinct_ascending_and_leave_a_photo_out(
    count: int, runs: float, seed: int
) -> None:
    config = PairsConfig(subsets=8, runs=runs)
    drawn = draw_subsets(count, config, rng(seed))
    assert 1 <= len(drawn) <= 8
    assert len(set(drawn)) == len(drawn)
    for subset in drawn:
        assert len(subset) in config.sizes
        assert len(subset) < count
        assert list(subset) == sorted(set(subset))
        assert subset[0] >= 0
        assert subset[-1] < count


@given(seed=st.integers(0, 1000))
def test_run_subsets_are_consecutive_photos(seed: int) -> None:
    for subset in draw_subsets(20, PairsConfig(runs=1.0), rng(seed)):
        assert subset == tuple(range(subset[0], subset[0] + len(subset)))


@given(seed=st.integers(0, 1000))
def test_spread_subsets_have_one_photo_in_each_part_of_the_scene(seed: int) -> None:
    for subset in draw_subsets(36, PairsConfig(runs=0.0), rng(seed)):
        part = 36 // len(subset)
        assert [index // part for index in subset] == list(range(len(subset)))


def test_every_subset_size_is_used() -> None:
    drawn = draw_subsets(30, PairsConfig(subsets=4, sizes=(3, 4, 6, 9)), rng(0))
    assert sorted(map(len, drawn)) == [3, 4, 6, 9]


def test_the_seed_determines_the_subsets() -> None:
    config = PairsConfig()
    assert draw_subsets(20, config, rng(5)) == draw_subsets(20, config, rng(5))
    assert draw_subsets(20, config, rng(5)) != draw_subsets(20, config, rng(6))
    assert seed_of("hall") != seed_of("attic")


def test_too_few_photos_are_refused() -> None:
    with pytest.raises(InputError, match="has 3 photos with poses, and a pair needs 3 of them"):
        draw_subsets(3, PairsConfig(), rng(0))
