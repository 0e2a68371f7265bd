"""Tiles against the whole: functions whose result for a whole image is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d

from tasks.refine.diffusion.tiles import Tiling, spans, tiled, windows

tilings = st.builds(
    Tiling,
    longest=st.integers(32, 80),
    overlap=st.integers(0, 15),
    multiple=st.sampled_from([1, 2, 8]),
    batch=st.integers(1, 7),
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@given(length=st.integers(1, 400), tiling=tilings)
def test_tiles_cover_the_axis_with_the_configured_overlap(length: int, tiling: Tiling) -> None:
    found = spans(length, tiling)
    assert found[0].start == 0
    ends = [span.start + span.size for span in found]
    assert ends[-1] == length if len(found) > 1 else ends[-1] - length in range(tiling.multiple)
    for span in found:
        assert span.size == found[0].size <= max(tiling.longest, tiling.multiple)
        assert span.size % tiling.multiple == 0
    for end, following in zip(ends, found[1:], strict=False):
        assert end - following.start >= tiling.overlap - 1  # starts are rounded to whole pixels


@given(length=st.integers(1, 400), tiling=tilings)
def test_tile_weights_sum_to_1_and_are_0_outside_their_tile(length: int, tiling: Tiling) -> None:
    found = windows(length, tiling)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)
    assert (found >= 0).all()
    for weight, span in zip(found, spans(length, tiling), strict=True):
        assert not weight[: span.start].any()
        assert not weight[span.start + span.size :].any()


def test_tile_weights_fade_smoothly() -> None:
    found = windows(300, Tiling(longest=128, overlap=32))
    slope = np.pi / 2 / 32  # of sin^2 at its steepest
    assert len(found) == 3
    assert float(found.diff(dim=1).abs().max()) < 1.01 * slope


@settings(max_examples=30)
@given(height=st.integers(1, 130), width=st.integers(1, 130), tiling=tilings)
def test_unchanged_tiles_reassemble_the_image(height: int, width: int, tiling: Tiling) -> None:
    image = noise(2, 5, height, width)
    found = tiled(lambda tiles, _: tiles, image, tiling)
    np.testing.assert_allclose(found, image, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_a_local_filter_on_tiles_matches_the_filter_on_the_whole_image(batch: int) -> None:
    def blurred(images: torch.Tensor) -> torch.Tensor:
        return avg_pool2d(images[:, :3], 5, stride=1, padding=2)

    image = noise(2, 4, 150, 190)
    # The tile's own edge is seen by 2 px, where it counts nearly nothing, and the image's is real.
    tiling = Tiling(longest=64, overlap=24, batch=batch)
    found = tiled(lambda tiles, _: blurred(tiles), image, tiling)

    whole = blurred(image)
    fading = float(np.sin(np.pi / 2 * 1.5 / 24) ** 2)
    assert float((found - whole).abs().max()) < fading
    alone = slice(2, spans(150, tiling)[1].start)  # the first tile's only
    np.testing.assert_allclose(found[..., alone, alone], whole[..., alone, alone], atol=1e-6)


def test_tile_numbers_do_not_depend_on_the_batch_size() -> None:
    image = noise(2, 1, 100, 140)

    def run(batch: int) -> tuple[torch.Tensor, list[int]]:
        seen: list[int] = []

        def numbered(tiles: torch.Tensor, numbers: list[int]) -> torch.Tensor:
            assert len(tiles) == len(numbers) <= batch
            seen.extend(numbers)
            return tiles * torch.tensor(numbers)[:, None, None, None]

        return tiled(numbered, image, Tiling(longest=64, overlap=16, batch=batch)), seen

    one, numbers = run(1)
    other, others = run(5)
    assert numbers == others == list(range(2 * 2 * 3))
    np.testing.assert_array_equal(one, other)
