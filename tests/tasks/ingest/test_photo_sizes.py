import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.images import fitted_sizes, resized, resized_mask

edge = st.integers(1, 20_000)


@given(st.lists(st.tuples(edge, edge), min_size=1, max_size=5), st.integers(1, 20_000))
def test_reduced_sizes_keep_the_limit_and_the_aspect_ratio(
    sizes: list[tuple[int, int]], longest_edge: int
) -> None:
    found = fitted_sizes(np.array(sizes, dtype=np.int64), longest_edge)
    for (width, height), (new_width, new_height) in zip(sizes, found.tolist(), strict=True):
        if max(width, height) <= longest_edge:
            assert (new_width, new_height) == (width, height)
            continue
        assert max(new_width, new_height) == longest_edge
        shrink = longest_edge / max(width, height)
        for old, new in ((width, new_width), (height, new_height)):
            assert new >= 1
            assert abs(new - old * shrink) <= 0.5 or (new == 1 and old * shrink < 1)


def test_reduced_sizes_match_values_computed_by_hand() -> None:
    sizes = np.array([[4000, 3000], [3000, 4000], [640, 360], [10_000, 3]], dtype=np.int64)
    expected = [[640, 480], [480, 640], [640, 360], [640, 1]]
    assert fitted_sizes(sizes, 640).tolist() == expected


@given(
    colour=st.tuples(*[st.integers(0, 255)] * 3),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_reducing_a_uniform_photo_keeps_its_colour(
    colour: tuple[int, ...], shape: tuple[int, int], size: tuple[int, int]
) -> None:
    found = resized(np.full((*shape, 3), colour, np.uint8), size)
    assert found.shape == (size[1], size[0], 3)
    assert (found == np.array(colour)).all()


@pytest.mark.parametrize("size", [(30, 20), (17, 23), (90, 60)])
def test_reducing_a_photo_keeps_its_mean(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    found = resized(noise, size)
    np.testing.assert_allclose(found.mean((0, 1)), noise.mean((0, 1)), atol=1.5)


def test_fine_stripes_are_averaged_and_not_aliased() -> None:
    """Stripes of one pixel cannot be shown at a third of the size; without a filter they alias."""
    stripes = np.zeros((60, 60, 3), np.uint8)
    stripes[:, ::2] = 255
    found = resized(stripes, (20, 20)).astype(float)
    np.testing.assert_allclose(found[:, 2:-2], 127.5, atol=12)


def test_reducing_a_photo_keeps_edges_in_place() -> None:
    """Corners stay corners: no shift by half a pixel, which would spoil the intrinsics."""
    halves = np.zeros((8, 100, 3), np.uint8)
    halves[:, 50:] = 255
    found = resized(halves, (50, 4))
    np.testing.assert_array_equal(found[:, :22], 0)
    np.testing.assert_array_equal(found[:, 28:], 255)
    np.testing.assert_allclose(found + found[:, ::-1].astype(float), 255, atol=1)


def test_resampling_to_the_same_size_returns_the_photo() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(resized(noise, (7, 5)), noise)


def test_a_crop_view_of_a_larger_photo_is_resampled_equally_and_is_writable() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    view = noise[::2, 5:25]
    found = resized(view, (10, 10))
    np.testing.assert_array_equal(found, resized(view.copy(), (10, 10)))
    assert found.flags.writeable


def test_a_reduced_mask_holds_only_pixels_that_it_covers_wholly() -> None:
    mask = np.zeros((6, 9), dtype=bool)
    mask[:, :4] = True
    expected = np.zeros((2, 3), dtype=bool)
    expected[:, 0] = True  # the second column of three pixels is cut by the edge at 4
    assert (resized_mask(mask, (3, 2)) == expected).all()
    assert resized_mask(mask, (9, 6)) is mask
