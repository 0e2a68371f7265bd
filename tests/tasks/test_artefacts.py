"""Lazy sequences behave as lists and read only the indexed items."""

import pytest

from tasks.artefacts import Lazy


def test_only_indexed_items_are_read() -> None:
    read: list[int] = []
    squares = Lazy(5, lambda index: read.append(index) or index**2)
    assert len(squares) == 5
    assert len(squares[1:]) == 4
    assert read == []
    assert squares[3] == 9
    assert read == [3]


@pytest.mark.parametrize("chosen", [slice(None), slice(1, 3), slice(None, None, -2), slice(4, 9)])
def test_slices_and_negative_indices_behave_as_in_a_list(chosen: slice) -> None:
    squares, expected = Lazy(5, lambda index: index**2), [0, 1, 4, 9, 16]
    assert list(squares[chosen]) == expected[chosen]
    assert squares[1:][-1] == expected[1:][-1]


@pytest.mark.parametrize("place", [5, -6])
def test_indices_out_of_range_are_refused(place: int) -> None:
    with pytest.raises(IndexError):
        Lazy(5, str)[place]
